// Prints the class names that Go's regular expressions take in \p{…}, one a line: the canonical spelling, a tab, and
// the query by which Rust's regex-syntax finds the same class. The output is scanner/src/filter/regex/unicode-classes.tsv.
package main

import (
	"fmt"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"
)

func main() {
	queries := map[string]string{"Any": "any", "Ascii": "ascii", "Assigned": "assigned"}
	for name := range unicode.Categories {
		queries[canonical(name)] = "gc=" + name
	}
	for alias, name := range unicode.CategoryAliases {
		queries[canonical(alias)] = "gc=" + name
	}
	for name := range unicode.Scripts {
		queries[canonical(name)] = "sc=" + name
	}
	var lines []string
	for name, query := range queries {
		if _, err := syntax.Parse(`\p{`+name+`}`, syntax.Perl); err != nil {
			continue
		}
		lines = append(lines, name+"\t"+query)
	}
	slices.Sort(lines)
	fmt.Println(strings.Join(lines, "\n"))
}

func canonical(name string) string {
	name = strings.NewReplacer("_", "", "-", "", " ", "").Replace(name)
	return strings.ToUpper(name[:1]) + strings.ToLower(name[1:])
}
