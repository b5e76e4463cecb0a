package kafka

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// apiError is an error in the form of the Schema Registry API.
type apiError struct {
	status  int
	Code    int    `json:"error_code"`
	Message string `json:"message"`
}

// Error is the message.
func (e apiError) Error() string { return e.Message }

func noSubject(name string) error {
	return apiError{http.StatusNotFound, 40401, fmt.Sprintf("Subject '%s' not found.", name)}
}

func noVersion(v string) error {
	return apiError{http.StatusNotFound, 40402, fmt.Sprintf("Version %s not found.", v)}
}

var errNoSchema = apiError{http.StatusNotFound, 40403, "Schema not found"}

const (
	registryContent = "application/vnd.schemaregistry.v1+json"
	maxSchemaBytes  = 16 << 20
)

// stored is a schema in an answer.
type stored struct {
	Subject string `json:"subject"`
	Version int    `json:"version"`
	ID      int    `json:"id"`
	Schema  string `json:"schema"`
}

// ServeHTTP answers one request.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) { r.mux.ServeHTTP(w, req) }

func (r *Registry) routes() {
	r.mux = http.NewServeMux()
	on := func(pattern string, h func(*http.Request) (any, error)) {
		r.mux.HandleFunc(pattern, func(w http.ResponseWriter, req *http.Request) { answer(w, req, h) })
	}
	on("GET /{$}", func(*http.Request) (any, error) { return struct{}{}, nil })
	on("GET /contexts", func(*http.Request) (any, error) { return []string{"."}, nil })
	on("GET /schemas/types", func(*http.Request) (any, error) { return []string{"AVRO"}, nil })
	on("GET /schemas", r.getSchemas)
	on("GET /schemas/ids/{id}", r.getSchema)
	on("GET /schemas/ids/{id}/schema", r.getSchemaText)
	on("GET /schemas/ids/{id}/versions", r.getSchemaVersions)
	on("GET /schemas/ids/{id}/subjects", r.getSchemaSubjects)
	on("GET /subjects", r.getSubjects)
	on("POST /subjects/{subject}", r.postLookup)
	on("DELETE /subjects/{subject}", r.deleteSubject)
	on("GET /subjects/{subject}/versions", r.getVersions)
	on("POST /subjects/{subject}/versions", r.postVersion)
	on("GET /subjects/{subject}/versions/{version}", r.getVersion)
	on("GET /subjects/{subject}/versions/{version}/schema", r.getVersionText)
	on("GET /subjects/{subject}/versions/{version}/referencedby", func(*http.Request) (any, error) { return []int{}, nil })
	on("DELETE /subjects/{subject}/versions/{version}", r.deleteVersion)
	on("POST /compatibility/subjects/{subject}/versions", r.postCompatible)
	on("POST /compatibility/subjects/{subject}/versions/{version}", r.postCompatible)
	for _, path := range []string{"/config", "/config/{subject}"} {
		on("GET "+path, r.getLevel)
		on("PUT "+path, r.putLevel)
		on("DELETE "+path, r.deleteLevel)
	}
	for _, path := range []string{"/mode", "/mode/{subject}"} {
		on("GET "+path, r.getMode)
		on("PUT "+path, r.putMode)
		on("DELETE "+path, r.deleteMode)
	}
	on("/", func(req *http.Request) (any, error) {
		return nil, apiError{http.StatusNotFound, 404, "HTTP 404 Not Found: " + req.Method + " " + req.URL.Path}
	})
}

// answer writes what a handler says. A rawText goes out as it is.
func answer(w http.ResponseWriter, req *http.Request, h func(*http.Request) (any, error)) {
	w.Header().Set("Content-Type", registryContent)
	v, err := h(req)
	if err != nil {
		var e apiError
		if !errors.As(err, &e) {
			// 50001 is "error in the backend data store": clients may try again.
			e = apiError{http.StatusInternalServerError, 50001, err.Error()}
		}
		w.WriteHeader(e.status)
		v = e
	}
	if text, ok := v.(rawText); ok {
		_, _ = io.WriteString(w, string(text))
		return
	}
	_ = json.NewEncoder(w).Encode(v)
}

type rawText string

// asked reads the schema in a request's body.
func asked(req *http.Request) (string, error) {
	var body struct {
		Schema     string            `json:"schema"`
		SchemaType string            `json:"schemaType"`
		References []json.RawMessage `json:"references"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(nil, req.Body, maxSchemaBytes)).Decode(&body); err != nil {
		return "", apiError{http.StatusBadRequest, 400, "the body is no JSON: " + err.Error()}
	}
	switch {
	case body.SchemaType != "" && body.SchemaType != "AVRO":
		return "", apiError{http.StatusUnprocessableEntity, 42201, "Invalid schema type " + body.SchemaType + ": this registry keeps AVRO only"}
	case len(body.References) > 0:
		return "", apiError{http.StatusUnprocessableEntity, 42201, "Invalid schema: this registry keeps no references between schemas; write the referenced types into the schema"}
	case body.Schema == "":
		return "", apiError{http.StatusUnprocessableEntity, 42201, "Empty schema"}
	}
	return body.Schema, nil
}

func flag(req *http.Request, name string) bool { return req.URL.Query().Get(name) == "true" }

func (r *Registry) byID(req *http.Request) (int, string, error) {
	id, err := strconv.Atoi(req.PathValue("id"))
	if err != nil {
		return 0, "", errNoSchema
	}
	s, ok := r.schemas[id]
	if !ok {
		return 0, "", apiError{http.StatusNotFound, 40403, fmt.Sprintf("Schema %d not found", id)}
	}
	return id, s, nil
}

func (r *Registry) getSchema(req *http.Request) (any, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	_, s, err := r.byID(req)
	if err != nil {
		return nil, err
	}
	out := map[string]any{"schema": s}
	if flag(req, "fetchMaxId") {
		out["maxId"] = r.nextID - 1
	}
	return out, nil
}

func (r *Registry) getSchemaText(req *http.Request) (any, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	_, s, err := r.byID(req)
	return rawText(s), err
}

func (r *Registry) getSchemaVersions(req *http.Request) (any, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	id, _, err := r.byID(req)
	if err != nil {
		return nil, err
	}
	out := []map[string]any{}
	r.each(req, func(name string, v version) {
		if v.id == id {
			out = append(out, map[string]any{"subject": name, "version": v.number})
		}
	})
	return out, nil
}

func (r *Registry) getSchemaSubjects(req *http.Request) (any, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	id, _, err := r.byID(req)
	if err != nil {
		return nil, err
	}
	out := []string{}
	r.each(req, func(name string, v version) {
		if v.id == id && !slices.Contains(out, name) {
			out = append(out, name)
		}
	})
	return out, nil
}

// each walks the versions that a request may see, in order.
func (r *Registry) each(req *http.Request, f func(string, version)) {
	q := req.URL.Query()
	names := make([]string, 0, len(r.subjects))
	for n := range r.subjects {
		if strings.HasPrefix(n, q.Get("subjectPrefix")) {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	deleted, only := flag(req, "deleted"), flag(req, "deletedOnly")
	for _, n := range names {
		for _, v := range r.subjects[n].versions {
			if v.deleted && !deleted && !only || only && !v.deleted {
				continue
			}
			f(n, v)
		}
	}
}

func (r *Registry) getSchemas(req *http.Request) (any, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	out := []stored{}
	r.each(req, func(name string, v version) {
		if n := len(out); flag(req, "latestOnly") && n > 0 && out[n-1].Subject == name {
			out = out[:n-1]
		}
		out = append(out, stored{name, v.number, v.id, r.schemas[v.id]})
	})
	return out, nil
}

func (r *Registry) getSubjects(req *http.Request) (any, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	out := []string{}
	r.each(req, func(name string, _ version) {
		if n := len(out); n == 0 || out[n-1] != name {
			out = append(out, name)
		}
	})
	return out, nil
}
