// Prints what ryanuber/go-glob v1.0.0 says of pairs of a pattern and a text: pattern, text, true or false, separated by
// tabs and written as Go string literals without their quotes. The output is tests/cases/glob/matches.tsv.
package main

import (
	"bufio"
	"fmt"
	"math/rand"
	"os"
	"strconv"
	"strings"

	"github.com/ryanuber/go-glob"
)

var patterns = []string{
	"", "*", "**", "***", "a", "a*", "*a", "*a*", "a*a", "a**a", "ab*ba", "a*b*c", "*a*b*", "*aa*aa*", "master-*", "dev-*", "v0.15.*", "*-alpine", "v*-rc*",
	"?", "v?", "[a-z]*", "{a,b}", `\*`, "A*", "latest", "L*", " *", "* ", "v1.*.*", "*.*", "é*", "*é", "1.2.3",
}

var texts = []string{
	"", "a", "aa", "aba", "abba", "abcba", "abc", "axbxc", "aaa", "aaaa", "aaaaa", "b", "ab", "ba", "master-", "master-foo", "foo-master", "dev-kb9lm91e", "v0.15.2", "v0.15.", "v0.16.0", "v0.150",
	"1.2-alpine", "-alpine", "alpine", "v1-rc", "v1-rc1", "v-rc", "?", "v1", "v?", "[a-z]", "[a-z]x", "{a,b}", `\x`, `\*`, "*", "ABC", "latest", "Latest", "LATEST", " a", "a ", "v1.2.3", "v1..", "é", "éa", "aé", "1.2.3", "1x2x3",
}

func main() {
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for _, pattern := range patterns {
		for _, text := range texts {
			row(out, pattern, text)
		}
	}
	// Short alphabets make patterns and texts meet often.
	source := rand.New(rand.NewSource(1))
	for range 2000 {
		row(out, random(source, "ab**-", 7), random(source, "aab-", 10))
	}
}

func random(source *rand.Rand, alphabet string, most int) string {
	var text strings.Builder
	for range source.Intn(most + 1) {
		text.WriteByte(alphabet[source.Intn(len(alphabet))])
	}
	return text.String()
}

func row(out *bufio.Writer, pattern, text string) {
	fmt.Fprintf(out, "%s\t%s\t%t\n", quote(pattern), quote(text), glob.Glob(pattern, text))
}

func quote(text string) string {
	quoted := strconv.QuoteToASCII(text)
	return quoted[1 : len(quoted)-1]
}
