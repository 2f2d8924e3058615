package admin

import (
	"bytes"
	"embed"
	"encoding/json"
	"html/template"
	"net/http"
	"time"

	"go.uber.org/zap"
)

//go:embed page
var pageFiles embed.FS

// html/template escapes by context: statements and names come from clients.
var statusTemplate = template.Must(template.ParseFS(pageFiles, "page/status.html"))

// maxPageRows bounds the rows of one table on the status page.
const maxPageRows = 200

// status is what the page shows.
type status struct {
	Instance, Version, NotReady, Uptime, Now string
	Counts                                   Counts
	Sections                                 []section
}

// section is one table of the page.
type section struct {
	Title, Note string
	Columns     []pageColumn
	Rows        [][]cell
}

type pageColumn struct {
	Name   string
	Number bool
}

type cell struct{ Text, Class string }

func newSection(title string, t *table) section {
	s := section{Title: title}
	for _, c := range t.columns {
		s.Columns = append(s.Columns, pageColumn{c.name, c.typ != text})
	}
	for i, row := range t.rows {
		if i == maxPageRows {
			s.Note = "the first rows only"
			break
		}
		cells := make([]cell, len(row))
		for j, v := range row {
			cells[j] = newCell(t.columns[j], v)
		}
		s.Rows = append(s.Rows, cells)
	}
	return s
}

func newCell(c column, v value) cell {
	switch {
	case v.Null:
		return cell{"–", "null"}
	case c.typ != text:
		return cell{v.Text, "n"}
	case c.name == "state" && v.Text == StateUp:
		return cell{v.Text, "good"}
	case c.name == "state" && v.Text == StateDown:
		return cell{v.Text, "bad"}
	}
	return cell{Text: v.Text}
}

func (h *HTTP) statusPage(w http.ResponseWriter, _ *http.Request) {
	now := time.Now()
	page := status{
		Instance: h.cfg.Instance,
		Version:  h.cfg.Version,
		NotReady: h.notReady(),
		Uptime:   now.Sub(h.started).Round(time.Second).String(),
		Now:      now.Format(time.RFC3339),
		Counts:   h.deps.Counters.Counts(),
		Sections: []section{
			newSection("Backends", backendsExt(&h.deps)),
			newSection("Routes", routes(&h.deps)),
			newSection("Pools", pools(&h.deps)),
			newSection("Sessions", processlist(&h.deps)),
		},
	}
	var out bytes.Buffer
	if err := statusTemplate.Execute(&out, page); err != nil {
		h.log.Error("status page", zap.Error(err))
		http.Error(w, "internal error; see the log of telamon", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(out.Bytes()) // the client may be gone
}

func stylesheet(w http.ResponseWriter, r *http.Request) {
	http.ServeFileFS(w, r, pageFiles, "page/style.css")
}

// apiTable answers with the table as a JSON array of objects whose keys are
// the columns. Numbers are numbers, NULL is null.
func (h *HTTP) apiTable(of func(*Deps) *table) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		out, err := json.Marshal(objects(of(&h.deps)))
		if err != nil {
			h.log.Error("api", zap.Error(err))
			http.Error(w, "internal error; see the log of telamon", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(append(out, '\n')) // the client may be gone
	})
}

func objects(t *table) []map[string]any {
	all := make([]map[string]any, len(t.rows))
	for i, row := range t.rows {
		all[i] = make(map[string]any, len(row))
		for j, v := range row {
			switch c := t.columns[j]; {
			case v.Null:
				all[i][c.name] = nil
			case c.typ != text:
				all[i][c.name] = json.Number(v.Text)
			default:
				all[i][c.name] = v.Text
			}
		}
	}
	return all
}
