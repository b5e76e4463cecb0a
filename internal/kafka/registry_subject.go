package kafka

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
)

func (r *Registry) postVersion(req *http.Request) (any, error) {
	schema, err := asked(req)
	if err != nil {
		return nil, err
	}
	id, err := r.register(req.PathValue("subject"), schema)
	if err != nil {
		return nil, err
	}
	return map[string]int{"id": id}, nil
}

// postLookup finds a schema under a subject without registering it.
func (r *Registry) postLookup(req *http.Request) (any, error) {
	schema, err := asked(req)
	if err != nil {
		return nil, err
	}
	key, err := r.checkSchema(schema)
	if err != nil {
		return nil, err
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	name := req.PathValue("subject")
	s, err := r.visible(req)
	if err != nil {
		return nil, err
	}
	id, known := r.ids[key]
	v := s.find(id)
	if !known || v == nil || v.deleted && !flag(req, "deleted") {
		return nil, errNoSchema
	}
	return stored{name, v.number, id, r.schemas[id]}, nil
}

// visible is the subject of a request; an error when nothing of it may be seen.
func (r *Registry) visible(req *http.Request) (*subject, error) {
	name := req.PathValue("subject")
	s := r.subjects[name]
	if s == nil || len(s.numbers(flag(req, "deleted"), flag(req, "deletedOnly"))) == 0 {
		return nil, noSubject(name)
	}
	return s, nil
}

// numbers lists versions.
func (s *subject) numbers(deleted, only bool) []int {
	list := []int{}
	for _, v := range s.versions {
		if (!v.deleted || deleted || only) && (v.deleted || !only) {
			list = append(list, v.number)
		}
	}
	return list
}

func (r *Registry) getVersions(req *http.Request) (any, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	s, err := r.visible(req)
	if err != nil {
		return nil, err
	}
	return s.numbers(flag(req, "deleted"), flag(req, "deletedOnly")), nil
}

// pick finds the version that a path names: a number, latest or -1.
func (r *Registry) pick(req *http.Request) (version, error) {
	s, err := r.visible(req)
	if err != nil {
		return version{}, err
	}
	text := req.PathValue("version")
	list := slices.DeleteFunc(slices.Clone(s.versions), func(v version) bool { return v.deleted && !flag(req, "deleted") })
	if text == "latest" || text == "-1" {
		if len(list) == 0 {
			return version{}, noVersion(text)
		}
		return list[len(list)-1], nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return version{}, apiError{http.StatusUnprocessableEntity, 42202, "The specified version '" + text + "' is not a valid version id."}
	}
	for _, v := range list {
		if v.number == n {
			return v, nil
		}
	}
	return version{}, noVersion(text)
}

func (r *Registry) getVersion(req *http.Request) (any, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	v, err := r.pick(req)
	if err != nil {
		return nil, err
	}
	return stored{req.PathValue("subject"), v.number, v.id, r.schemas[v.id]}, nil
}

func (r *Registry) getVersionText(req *http.Request) (any, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	v, err := r.pick(req)
	return rawText(r.schemas[v.id]), err
}

// deleteSubject hides every version; with permanent=true it removes those that
// are hidden. Their schemas stay: records in the log still name them.
func (r *Registry) deleteSubject(req *http.Request) (any, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := req.PathValue("subject")
	s := r.subjects[name]
	if s == nil || len(s.versions) == 0 {
		return nil, noSubject(name)
	}
	living := s.numbers(false, false)
	if !flag(req, "permanent") {
		if len(living) == 0 {
			return nil, apiError{http.StatusNotFound, 40404, "Subject '" + name + "' was soft deleted. Set permanent=true to delete permanently"}
		}
		return living, r.commit(change{Op: "delete", Subject: name})
	}
	if len(living) > 0 {
		return nil, apiError{http.StatusNotFound, 40405, "Subject '" + name + "' was not deleted first before being permanently deleted"}
	}
	gone := s.numbers(true, false)
	return gone, r.commit(change{Op: "purge", Subject: name})
}

func (r *Registry) deleteVersion(req *http.Request) (any, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := req.PathValue("subject")
	if !flag(req, "permanent") {
		v, err := r.pick(req)
		if err != nil {
			return nil, err
		}
		return v.number, r.commit(change{Op: "delete", Subject: name, Version: v.number})
	}
	s := r.subjects[name]
	if s == nil || len(s.versions) == 0 {
		return nil, noSubject(name)
	}
	n, _ := strconv.Atoi(req.PathValue("version"))
	for _, v := range s.versions {
		if v.number != n {
			continue
		}
		if !v.deleted {
			return nil, apiError{http.StatusNotFound, 40407, "Version " + strconv.Itoa(n) + " was not deleted first before being permanently deleted"}
		}
		return n, r.commit(change{Op: "purge", Subject: name, Version: n})
	}
	return nil, noVersion(req.PathValue("version"))
}

// postCompatible tests a schema against one version, or against those that the
// level names.
func (r *Registry) postCompatible(req *http.Request) (any, error) {
	schema, err := asked(req)
	if err != nil {
		return nil, err
	}
	if _, err := r.checkSchema(schema); err != nil {
		return nil, err
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	s := r.subjects[req.PathValue("subject")]
	older := r.living(s)
	if req.PathValue("version") != "" {
		v, err := r.pick(req)
		if err != nil {
			return nil, err
		}
		older = []string{r.schemas[v.id]}
	}
	against, err := r.levelOf(s).compare(schema, older)
	if err != nil {
		return nil, apiError{http.StatusUnprocessableEntity, 42201, err.Error()}
	}
	out := map[string]any{"is_compatible": len(against) == 0}
	if flag(req, "verbose") {
		out["messages"] = append([]string{}, against...)
	}
	return out, nil
}

func (r *Registry) getLevel(req *http.Request) (any, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	name := req.PathValue("subject")
	if name == "" {
		return map[string]level{"compatibilityLevel": r.level}, nil
	}
	s := r.subjects[name]
	if (s == nil || s.level == "") && !flag(req, "defaultToGlobal") {
		return nil, apiError{http.StatusNotFound, 40408, "Subject '" + name + "' does not have subject-level compatibility configured"}
	}
	return map[string]level{"compatibilityLevel": r.levelOf(s)}, nil
}

func (r *Registry) putLevel(req *http.Request) (any, error) {
	var body struct {
		Compatibility level `json:"compatibility"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(nil, req.Body, 1<<16)).Decode(&body); err != nil || !body.Compatibility.valid() {
		return nil, apiError{http.StatusUnprocessableEntity, 42203, "Invalid compatibility level. Valid values are none, backward, forward, full, backward_transitive, forward_transitive, and full_transitive"}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return body, r.commit(change{Op: "level", Subject: req.PathValue("subject"), Value: string(body.Compatibility)})
}

func (r *Registry) deleteLevel(req *http.Request) (any, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := req.PathValue("subject")
	was := r.level
	if name != "" {
		s := r.subjects[name]
		if s == nil || s.level == "" {
			return nil, noSubject(name)
		}
		was = s.level
	}
	return map[string]level{"compatibility": was}, r.commit(change{Op: "level", Subject: name})
}

func (r *Registry) getMode(req *http.Request) (any, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	name := req.PathValue("subject")
	if name == "" {
		return map[string]string{"mode": r.mode}, nil
	}
	s := r.subjects[name]
	if (s == nil || s.mode == "") && !flag(req, "defaultToGlobal") {
		return nil, apiError{http.StatusNotFound, 40409, "Subject '" + name + "' does not have subject-level mode configured"}
	}
	return map[string]string{"mode": r.modeOf(s)}, nil
}

// putMode knows no IMPORT: an id that a client brings along could be another
// schema's already.
func (r *Registry) putMode(req *http.Request) (any, error) {
	var body struct {
		Mode string `json:"mode"`
	}
	err := json.NewDecoder(http.MaxBytesReader(nil, req.Body, 1<<16)).Decode(&body)
	if err != nil || body.Mode != "READWRITE" && body.Mode != "READONLY" {
		return nil, apiError{http.StatusUnprocessableEntity, 42204, "Invalid mode. Valid values are READWRITE, READONLY"}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return body, r.commit(change{Op: "mode", Subject: req.PathValue("subject"), Value: body.Mode})
}

func (r *Registry) deleteMode(req *http.Request) (any, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := req.PathValue("subject")
	was := r.mode
	if name != "" {
		s := r.subjects[name]
		if s == nil || s.mode == "" {
			return nil, noSubject(name)
		}
		was = s.mode
	}
	return map[string]string{"mode": was}, r.commit(change{Op: "mode", Subject: name})
}
