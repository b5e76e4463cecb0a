package undrop

import "fmt"

// Account is what became of the changes that were read. It must balance for
// every commit (invariant I2).
type Account struct {
	Read        int64 `json:"read"`
	Applied     int64 `json:"applied"`    // its effect is in the table
	Superseded  int64 `json:"superseded"` // a newer change of the same key is, or the same change already was
	Quarantined int64 `json:"quarantined"`
	Filtered    int64 `json:"filtered"` // outside what the contract asks for
}

// Add sums two accounts.
func (a Account) Add(b Account) Account {
	return Account{a.Read + b.Read, a.Applied + b.Applied, a.Superseded + b.Superseded,
		a.Quarantined + b.Quarantined, a.Filtered + b.Filtered}
}

// Check returns an error that names both sides if the account does not balance.
func (a Account) Check() error {
	if sum := a.Applied + a.Superseded + a.Quarantined + a.Filtered; sum != a.Read {
		return fmt.Errorf("account does not balance: read %d, but applied %d + superseded %d + quarantined %d + filtered %d = %d",
			a.Read, a.Applied, a.Superseded, a.Quarantined, a.Filtered, sum)
	}
	return nil
}
