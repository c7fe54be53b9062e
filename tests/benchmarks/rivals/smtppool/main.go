// The pool that listmonk sends with, fed from a CSV list through Go's own templates. The yardstick, not our code.
// Usage: smtppool HOST PORT LIST.csv TEMPLATE.html TEMPLATE.txt CONNECTIONS [MORE]
// MORE is JSON, all of it optional: {"ca": FILE, "attachment": FILE}; with "ca", TLS from the first byte.
package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"os"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	texttemplate "text/template"
	"time"

	"github.com/knadh/smtppool/v2"
)

type more struct {
	CA         string `json:"ca"`
	Attachment string `json:"attachment"`
}

// {{ name }} in our templates is {{ .name }} in Go's.
var variable = regexp.MustCompile(`\{\{\s*(\w+)[^}]*\}\}`)

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return value
}

func source(file string) string {
	return variable.ReplaceAllString(string(must(os.ReadFile(file))), "{{ .$1 }}")
}

func main() {
	host, port, list := os.Args[1], must(strconv.Atoi(os.Args[2])), os.Args[3]
	html := template.Must(template.New("html").Parse(source(os.Args[4])))
	text := texttemplate.Must(texttemplate.New("text").Parse(source(os.Args[5])))
	connections := must(strconv.Atoi(os.Args[6]))
	var options more
	if len(os.Args) > 7 {
		if err := json.Unmarshal([]byte(os.Args[7]), &options); err != nil {
			must(0, err)
		}
	}
	opt := smtppool.Opt{Host: host, Port: port, MaxConns: connections, MaxMessageRetries: 2,
		IdleTimeout: 15 * time.Second, PoolWaitTimeout: 30 * time.Second}
	if options.CA != "" {
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(must(os.ReadFile(options.CA)))
		opt.SSL, opt.TLSConfig = smtppool.SSLTLS, &tls.Config{RootCAs: roots, ServerName: host}
	}
	pool := must(smtppool.New(opt))
	defer pool.Close()

	rows := csv.NewReader(must(os.Open(list)))
	header := must(rows.Read())
	started := time.Now()
	queue := make(chan map[string]string, 100)
	var sent atomic.Int64
	var workers sync.WaitGroup
	for i := 0; i < connections; i++ {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for row := range queue {
				var htmlPart, textPart bytes.Buffer
				if err := html.Execute(&htmlPart, row); err != nil {
					must(0, err)
				}
				if err := text.Execute(&textPart, row); err != nil {
					must(0, err)
				}
				mail := smtppool.Email{From: "sender@example.com", To: []string{row["email"]},
					Subject: "Welcome, " + row["name"], HTML: htmlPart.Bytes(), Text: textPart.Bytes()}
				if options.Attachment != "" {
					must(mail.AttachFile(options.Attachment))
				}
				if err := pool.Send(mail); err != nil {
					must(0, err)
				}
				sent.Add(1)
			}
		}()
	}
	for {
		cells, err := rows.Read()
		if err == io.EOF {
			break
		}
		must(cells, err)
		row := make(map[string]string, len(header))
		for index, name := range header {
			row[name] = cells[index]
		}
		queue <- row
	}
	close(queue)
	workers.Wait()
	fmt.Printf("%d %.6f\n", sent.Load(), time.Since(started).Seconds())
}
