// Prints what Go's regular expressions say of pairs of a pattern and a text: pattern, text and one of error, no-match,
// match-without-group, or match followed by what tags are ordered by: the group named order, else the first group, else
// the whole text. Without group means that this group took no part in the match.
// Columns are separated by tabs and written as Go string literals without their quotes.
// The output is tests/cases/regex/matches.tsv.
package main

import (
	"bufio"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// Each pattern stands with the texts it is tried on, beside the ones that all are tried on.
var rows = []struct {
	pattern string
	texts   []string
}{
	// What people write.
	{`^0.6.*`, []string{"0.6.1", "0.60.1", "10.6", "0x6"}},
	{`^([a-zA-Z]+)$`, []string{"foo", "BAR", "1", "foo-1"}},
	{`^\w{7}(?:\w)?$`, []string{"af14eb2", "bb73ed94", "1", "946427ff-foo"}},
	{`^main-[a-f0-9]+-(?P<order>[0-9]+)$`, []string{"main-af14-17", "main-af14-", "main-xyz-1"}},
	{`^v?(\d+)\.(\d+)\.(\d+)$`, []string{"v1.2.3", "1.2.3", "1.2.3-rc"}},
	{`^(a)?(?P<order>b)?(?P<order>c)?`, []string{"abc", "ac", "bc", "c"}}, {`(x)(?P<Order>y)`, []string{"xy"}}, {`(?:x)(?<order>y)(z)`, []string{"xyz"}},
	{`(?i)^RELEASE-`, []string{"release-1", "Release-1", "1-release-"}},
	{`^(dev|staging)-.*$`, []string{"dev-1", "staging-", "prod-1"}},
	{`.*`, nil}, {``, nil}, {`^$`, nil}, {`latest`, []string{"latest", "not-latest-1"}},
	// Classes.
	{`[a-z&&b]`, []string{"b", "&", "c", "]"}}, {`^[a-z&&b]$`, []string{"b", "&", "c"}},
	{`[a--b]`, nil}, {`[+--]`, []string{"+", ",", "-", "."}}, {`[a~~b]`, []string{"~", "a", "c"}}, {`[a~~b]+$`, []string{"~~", "c"}},
	{`[a[b]`, []string{"[", "a", "c"}}, {`[[a]b]`, []string{"ab]", "[b]", "a", "b"}}, {`^[[:alpha:]]$`, []string{"a", "[", ":", "1"}}, {`^[[:^alpha:]]$`, []string{"a", "1"}},
	{`[[:foo:]]`, nil}, {`[[:alpha]`, []string{":", "a", "[", "z"}}, {`[:alpha:]`, []string{"a", ":", "z"}}, {`[[:a]b:]`, nil}, {`[[:a]x:]y]`, nil},
	{`^[[:word:]]+$`, []string{"a_1", "a-1", "é"}}, {`^[[:space:]]$`, []string{"\v", " ", "\n", "\u00a0"}}, {`^[[:punct:]]$`, []string{"!", "-", "a", "§"}},
	{`^[[:ascii:]]$`, []string{"a", "é"}}, {`^[[:cntrl:]]$`, []string{"\x00", "\x7f", " "}}, {`^[[:graph:]]$`, []string{"!", " "}}, {`^[[:print:]]$`, []string{" ", "\t"}}, {`^[[:blank:]]$`, []string{" ", "\t", "\n"}},
	{`^[[:xdigit:]]+$`, []string{"0aF", "g"}}, {`^[[:upper:]]$`, []string{"A", "a"}}, {`(?i)^[[:upper:]]$`, []string{"A", "a", "ſ", "K"}}, {`^[[:lower:][:digit:]]+$`, []string{"a1", "A"}}, {`^[^[:alnum:]]$`, []string{"-", "a"}},
	{`[]a]`, []string{"]", "a", "b"}}, {`[^]a]`, []string{"]", "a", "b"}}, {`[]`, nil}, {`[^]`, nil}, {`[]]`, []string{"]"}}, {`[a`, nil}, {`[a-`, nil}, {`[a-]`, []string{"-", "a", "b"}}, {`[-a]`, []string{"-", "a", "b"}}, {`[a-c-e]`, []string{"-", "d", "b", "e"}},
	{`[z-a]`, nil}, {`[a-\d]`, nil}, {`[\d-z]`, []string{"5", "-", "z", "y"}}, {`[\w-.]+$`, []string{"a.b", "-", "+"}}, {`^[^\d]$`, []string{"a", "1", "\n"}}, {`^[\D]$`, []string{"a", "1"}}, {`^[^\D]$`, []string{"a", "1"}},
	{`[\b]`, nil}, {`[\A]`, nil}, {`[\z]`, nil}, {`[\B]`, nil}, {`[\Q]\E]`, nil}, {`^[\-\]\\]$`, []string{"-", "]", `\`, "a"}}, {`[\x41-\x43]`, []string{"B", "D"}}, {`[\101-\103]`, []string{"B", "D"}}, {`[\pN]`, []string{"1", "٣", "a"}}, {`[\p{Greek}a]`, []string{"α", "a", "b"}}, {`[^\p{Greek}]`, []string{"α", "a"}}, {`[\PN]`, []string{"1", "a"}},
	{`^[^\x00-\x{10FFFF}]$`, []string{"a"}}, {`[\x{D800}-\x{DFFF}]`, []string{"a", "\ufffd"}}, {`[\x{D000}-\x{E000}]`, []string{"\ud000", "\ue000", "a"}}, {`^[^a]$`, []string{"\n", "b", "a"}}, {`[#-&]`, []string{"%", "'"}}, {`[ ]`, []string{" ", "a"}}, {`^[*+?]$`, []string{"*", "?", "a"}}, {`[a^]`, []string{"^", "a", "b"}}, {`[a||b]`, []string{"|", "c"}}, {`[\]]`, []string{"]"}}, {`[[]`, []string{"["}}, {`[[]]`, []string{"[]", "["}}, {`[a-b-c]`, []string{"-", "c"}}, {`[é-ü]`, []string{"ë", "e"}}, {`(?i)[k]`, []string{"K", "\u212a"}}, {`(?i)[^k]`, []string{"K", "\u212a", "j"}},
	// Escapes.
	{`\d\s\w`, []string{"1 a", "٣ a", "1\va"}}, {`^\w$`, []string{"a", "_", "é", "ſ", "-"}}, {`(?i)^\w$`, []string{"a", "é", "ſ", "\u212a"}}, {`(?i)^\W$`, []string{"a", "é", "ſ", "\u212a"}}, {`^\s$`, []string{"\v", "\f", "\u00a0", " "}}, {`^\S$`, []string{"\v", "a"}}, {`^\D$`, []string{"1", "٣"}}, {`\bfoo\b`, []string{"foo", "a foo b", "foobar", "éfoo", "foo-1", "foo_1"}}, {`o\B`, []string{"foo", "fo", "of", "o"}}, {`^\B`, []string{"-", "a", ""}}, {`\B\B`, []string{"é", ""}}, {`\Bé`, []string{"é", "aé"}}, {`é\b`, []string{"é", "éa"}}, {`\b`, []string{"", "é", "a"}},
	{`\Afoo`, []string{"foo", "a\nfoo"}}, {`foo\z`, []string{"foo", "foo\n"}}, {`foo\Z`, nil}, {`\C`, nil}, {`\X`, nil}, {`\R`, nil}, {`\K`, nil}, {`\G`, nil}, {`\h`, nil}, {`\N`, nil}, {`\e`, nil}, {`\c`, nil}, {`\cA`, nil}, {`\u0041`, nil}, {`\U00000041`, nil}, {`\<a`, []string{"<a"}}, {`a\>`, []string{"a>"}}, {`\_`, []string{"_"}}, {`\-`, []string{"-"}}, {`\ `, []string{" "}}, {`\@\#\%\&\"\'`, []string{`@#%&"'`}}, {`\é`, nil}, {`\y`, nil}, {`\i`, nil}, {`\`, nil}, {`a\`, nil}, {`\\`, []string{`\`, "a"}}, {`[\`, nil}, {`\E`, nil}, {`\Q`, nil}, {`\Qa.b\E`, []string{"a.b", "axb"}}, {`\Qa.b`, []string{"a.b", "axb"}}, {`\Qab\E+$`, []string{"abb", "abab", "ab"}}, {`^\Qab\E*$`, []string{"a", "abbb", ""}}, {`\Q\E*`, nil}, {`^a\Q\E*$`, []string{"", "aa", "b"}}, {`\Q\Q\E`, []string{`\Q`, "Q"}}, {`\Qa\Eb\Qc.\E`, []string{"abc.", "abcd"}}, {`\Q[\E]`, []string{"[]"}}, {`(?i)\QAb\E`, []string{"aB"}}, {`\Q\\E`, []string{`\`, `\E`}}, {`\Qé\E`, []string{"é"}},
	{`\1`, nil}, {`(a)\1`, nil}, {`\8`, nil}, {`\9`, nil}, {`\0`, []string{"\x00", "0"}}, {`\01`, []string{"\x01"}}, {`\012`, []string{"\n"}}, {`\0123`, []string{"\n3"}}, {`\12`, []string{"\n"}}, {`\123`, []string{"S"}}, {`\1234`, []string{"S4"}}, {`\18`, nil}, {`\777`, []string{"ǿ"}}, {`\400`, []string{"Ā"}}, {`\x41`, []string{"A"}}, {`\x4`, nil}, {`\x`, nil}, {`\xg1`, nil}, {`\x4g`, nil}, {`\x{41}`, []string{"A"}}, {`\x{000041}`, []string{"A"}}, {`\x{}`, nil}, {`\x{`, nil}, {`\x{41`, nil}, {`\x{g}`, nil}, {`\x{10FFFF}`, []string{"\U0010ffff"}}, {`\x{110000}`, nil}, {`\x{D800}`, []string{"\ufffd", "a"}}, {`\x{ 41}`, nil}, {`\x{FFFFFFFFFF}`, nil}, {`\a\f\n\r\t\v`, []string{"\a\f\n\r\t\v"}}, {`\.`, []string{".", "a"}}, {`\/`, []string{"/"}}, {"\\\n", []string{"\n"}}, {"\\\x7f", []string{"\x7f"}},
	{`\pN`, []string{"1", "٣", "a"}}, {`\PN`, []string{"1", "a"}}, {`\p{N}`, []string{"1"}}, {`\p{Nd}+$`, []string{"12", "a"}}, {`\p{^N}`, []string{"1", "a"}}, {`\P{^N}`, []string{"1", "a"}}, {`\p`, nil}, {`\p{`, nil}, {`\p{}`, nil}, {`\p{N`, nil}, {`\p^N`, nil}, {`\pZ`, []string{" ", "a"}}, {`\p{Greek}`, []string{"α", "a"}}, {`\p{greek}`, []string{"α"}}, {`\p{Grek}`, nil}, {`\p{Latin}`, []string{"a", "é", "1", "α"}}, {`\p{Latn}`, nil}, {`\p{Lu}`, []string{"A", "a", "Ä"}}, {`(?i)\p{Lu}`, []string{"A", "a", "ä", "1"}}, {`(?i)^\P{Lu}$`, []string{"A", "a", "1"}}, {`\p{L}`, []string{"é", "1"}}, {`\pL\pN`, []string{"a1", "1a"}}, {`\p{LC}`, []string{"a", "1"}}, {`\p{Any}`, []string{"a"}}, {`\p{any}`, []string{"a"}}, {`\P{Any}`, []string{"a"}}, {`\p{ASCII}`, []string{"a", "é"}}, {`\p{Assigned}`, []string{"a", "\u0378"}}, {`\p{Cn}`, []string{"\u0378", "a"}}, {`\p{Cs}`, []string{"a"}}, {`\p{Zl}`, []string{"\u2028", "a"}}, {`\p{Zp}`, []string{"\u2029"}}, {`\p{Letter}`, []string{"a", "1"}}, {`\p{Uppercase_Letter}`, []string{"A", "a"}}, {`\p{Alphabetic}`, nil}, {`\p{Uppercase}`, nil}, {`\p{White_Space}`, nil}, {`\p{gc=L}`, nil}, {`\p{Script=Greek}`, nil}, {`\p{sc=Greek}`, nil}, {`\p{scx:Greek}`, nil}, {`\p{IsGreek}`, nil}, {`\p{Emoji}`, nil}, {`\p{Age=3.0}`, nil}, {`\p{Han}`, []string{"漢", "a"}}, {`\p{foo}`, nil}, {`\pé`, nil}, {`\p{Old_Italic}`, []string{"\U00010300"}}, {`\p{Punct}`, []string{"!", "a"}}, {`\p{Punctuation}`, []string{"!", "a"}},
	// Repetition.
	{`a**`, nil}, {`a*+`, nil}, {`a+*`, nil}, {`a++`, nil}, {`a?+`, nil}, {`a??`, []string{"a", "b"}}, {`a???`, nil}, {`a*?`, []string{"b"}}, {`a+?`, []string{"a", "b"}}, {`a*??`, nil}, {`a{2}{3}`, nil}, {`a{2}*`, nil}, {`a*{2}`, nil}, {`a{2}?`, []string{"a", "aa"}}, {`a{2}??`, nil}, {`(?:a{2}){3}$`, []string{"aaaaaa", "aaaaa"}}, {`^(a*)*$`, []string{"aaa", "b"}}, {`^(a|b*)*$`, []string{"ab", "c"}}, {`^(a*)+$`, []string{"", "a"}}, {`*`, nil}, {`*a`, nil}, {`+`, nil}, {`?`, nil}, {`{2}`, nil}, {`{`, []string{"{"}}, {`{a}`, []string{"{a}"}}, {`a{`, []string{"a{"}}, {`a{}`, []string{"a{}"}}, {`a{,}`, []string{"a{,}"}}, {`a{,2}`, []string{"a{,2}", "aa"}}, {`a{2`, []string{"a{2", "aa"}}, {`a{2,`, []string{"a{2,"}}, {`a{2,3`, []string{"a{2,3"}}, {`a{ 2}`, []string{"a{ 2}"}}, {`a{2 }`, []string{"a{2 }"}}, {`a{02}`, []string{"a{02}", "aa"}}, {`a{2,03}`, []string{"a{2,03}", "aa"}}, {`a{-1}`, []string{"a{-1}"}}, {`a{x}`, []string{"a{x}"}}, {`^a{0}$`, []string{"", "a"}}, {`^a{0,}$`, []string{"", "aa", "b"}}, {`^a{0,0}$`, []string{"", "a"}}, {`^a{1}$`, []string{"a", "aa"}}, {`^a{2,}$`, []string{"a", "aaa"}}, {`^a{2,3}$`, []string{"a", "aa", "aaa", "aaaa"}}, {`a{3,2}`, nil}, {`a{1000}`, []string{"a", strings.Repeat("a", 1000)}}, {`^a{1000}$`, []string{strings.Repeat("a", 1001)}}, {`a{1001}`, nil}, {`a{1,1001}`, nil}, {`a{1001,}`, nil}, {`a{1000,}`, []string{"a"}}, {`a{0,1000}`, nil}, {`a{99999999999}`, nil}, {`a{1,99999999999}`, nil}, {`a{99999999999`, []string{"a{99999999999"}}, {`(a{1000}){1}`, []string{"a"}}, {`(a{1000}){2}`, nil}, {`(a{500}){2}`, []string{"a"}}, {`(a{501}){2}`, nil}, {`((a{10}){10}){10}`, []string{"a"}}, {`((a{10}){10}){11}`, nil}, {`(a{1000}){0,1}`, []string{"b"}}, {`(a{1000})?`, nil}, {`(a{1000})*`, nil}, {`((a{1000}){0}){2}`, []string{""}}, {`(a{2}|b{600}){2}`, nil}, {`(a{2,}){501}`, nil}, {`(a{0,2}){501}`, nil}, {`(a{0,}){1000}`, nil}, {`((a{1000})*){2}`, nil}, {`(a{1000}){0,2}`, nil}, {`(a{1000}){1,}`, nil}, {`\pL{1000}`, []string{"a", strings.Repeat("a", 1000)}}, {`^*`, nil}, {`$*`, nil}, {`\b*`, nil}, {`^+a`, []string{"a", "b"}}, {`\b+a`, []string{"a"}}, {`a$*b`, []string{"ab"}}, {`\A{2}a`, []string{"a"}}, {`(?:)*`, nil}, {`()*`, nil}, {`(|a)*b`, []string{"aab"}}, {`(|a)+$`, []string{"a", ""}}, {`a|*`, nil}, {`(*)`, nil}, {`(+a)`, nil}, {`a(?i)*`, []string{"a", "A"}}, {`^a(?i)*$`, []string{"aa", "A", ""}}, {`a*(?i)*`, nil}, {`(?i)*`, nil}, {`a{2}(?i){2}`, []string{"aa", "aaaa"}}, {`|*`, nil}, {`(?:*)`, nil},
	// Groups, flags, alternatives.
	{`(`, nil}, {`)`, nil}, {`(a`, nil}, {`a)`, nil}, {`(a))`, nil}, {`((a)`, nil}, {`()`, nil}, {`(|)`, nil}, {`|`, nil}, {`a|`, nil}, {`|a`, nil}, {`a||b`, nil}, {`^(a||b)$`, []string{"a", "", "b", "c"}}, {`(?:a|b)c`, []string{"ac", "bc", "c"}}, {`ab|cd`, []string{"ab", "acd"}}, {`^ab|cd$`, []string{"abx", "xcd", "xabx"}}, {`(a)|(b)`, []string{"a", "b"}}, {`(?P<n>a)`, []string{"a"}}, {`(?<n>a)`, []string{"a"}}, {`(?'n'a)`, nil}, {`(?P<n>a)(?P<n>b)`, []string{"ab"}}, {`(?P<n>a)(?P<m>b)`, []string{"ab"}}, {`(?P<1>a)`, []string{"a"}}, {`(?P<1a_>a)`, []string{"a"}}, {`(?P<a.b>a)`, nil}, {`(?P<a-b>a)`, nil}, {`(?P<é>a)`, nil}, {`(?P<>a)`, nil}, {`(?<>a)`, nil}, {`(?P<n`, nil}, {`(?P<n>`, nil}, {`(?P<`, nil}, {`(?<`, nil}, {`(?P`, nil}, {`(?P=n)`, nil}, {`(?P>n)`, nil}, {`(?P<n>a)(?P=n)`, nil}, {`(?=a)`, nil}, {`(?!a)`, nil}, {`(?<=a)`, nil}, {`(?<!a)`, nil}, {`(?>a)`, nil}, {`(?#a)`, nil}, {`(?|a)`, nil}, {`(?R)`, nil}, {`(?1)`, nil}, {`(?&n)`, nil}, {`(?`, nil}, {`(?)`, nil}, {`(?)a`, []string{"a"}}, {`(?:`, nil}, {`(?i`, nil}, {`(?i)`, nil}, {`(?i)a`, []string{"A"}}, {`(?i:a)b`, []string{"Ab", "AB"}}, {`a(?i)b`, []string{"aB", "AB"}}, {`(a(?i)b)c`, []string{"aBc", "aBC"}}, {`a(?i)b|c`, []string{"C", "aB"}}, {`(?i)a(?-i)b`, []string{"Ab", "AB"}}, {`(?i-i:a)`, []string{"A", "a"}}, {`(?-)`, nil}, {`(?-:a)`, nil}, {`(?i-)`, nil}, {`(?i-:a)`, nil}, {`(?--i)`, nil}, {`(?i-s-m)`, nil}, {`(?ii)a`, []string{"A"}}, {`(?x)a b`, nil}, {`(?x:a)`, nil}, {`(?u)a`, nil}, {`(?-u)a`, nil}, {`(?R)a`, nil}, {`(?a)`, nil}, {`(?n)`, nil}, {`(?imsU)a`, []string{"A"}}, {`(?i m)a`, nil}, {`(?s).`, []string{"\n"}}, {`.`, []string{"\n", "a", "é"}}, {`^.$`, []string{"é", "\n", "\r"}}, {`(?s)^.$`, []string{"\n"}}, {`(?s-s:.)`, []string{"\n"}}, {`(?m)^a$`, []string{"a", "b\na\nc", "b\r\na\r\n"}}, {`^a$`, []string{"a\n", "b\na"}}, {`(?m)\Aa\z`, []string{"a", "a\n"}}, {`(?-m)^a`, []string{"b\na"}}, {`(?U)a+`, []string{"aa"}}, {`^(?U)(a+)a*$`, []string{"aaa"}}, {`^(?U)(a+?)a*$`, []string{"aaa"}}, {`^(?U:(a*))a*$`, []string{"aaa"}}, {`^(a+?)a*$`, []string{"aaa"}}, {`^(a+)a*$`, []string{"aaa"}}, {`^(a{1,2}?)a*$`, []string{"aaa"}}, {`^(a??)a*$`, []string{"aaa"}}, {`(a|ab)(c|bcd)`, []string{"abcd"}}, {`(ab|a)(bcd|c)`, []string{"abcd"}}, {`((((((((((a))))))))))`, []string{"a"}},
	{strings.Repeat("(", 150) + "a" + strings.Repeat(")", 150), []string{"a"}}, {strings.Repeat("(", 1001) + "a" + strings.Repeat(")", 1001), []string{"a"}}, {strings.Repeat("(?:", 400) + "a" + strings.Repeat(")*", 400), nil},
	// Folding.
	{`(?i)k`, []string{"K", "\u212a"}}, {`(?i)\x{212a}`, []string{"k"}}, {`(?i)s`, []string{"ſ", "S"}}, {`(?i)ß`, []string{"ẞ", "SS", "ss"}}, {`(?i)σ`, []string{"ς", "Σ"}}, {`(?i)é`, []string{"É", "e"}}, {`(?i)İ`, []string{"i", "ı"}}, {`(?i)ǆ`, []string{"ǅ", "Ǆ"}}, {`(?i)[a-c]`, []string{"B", "d"}}, {`(?i)[^a-c]`, []string{"B", "d"}}, {`(?i)^[[:lower:]]+$`, []string{"ABC", "ſ", "1"}}, {`(?i)^[^[:lower:]]+$`, []string{"ABC", "1"}}, {`(?i)^[[:^lower:]]+$`, []string{"ABC", "1", "ſ"}}, {`(?i)\d`, []string{"1", "a"}}, {`(?i)1-A_z`, []string{"1-a_Z"}}, {`(?i)\p{Greek}`, []string{"µ", "α", "\u2126"}}, {`(?i)[[:ascii:]]`, []string{"ſ", "é"}}, {`(?i)^[\x00-\x7f]$`, []string{"ſ", "é"}},
	// Plain characters that other dialects treat in their own way.
	{`a b`, []string{"a b", "ab"}}, {`a#b`, []string{"a#b"}}, {`a&&b`, []string{"a&&b"}}, {`a]`, []string{"a]"}}, {`]`, []string{"]"}}, {`}`, []string{"}"}}, {`a}`, []string{"a}"}}, {`-`, []string{"-"}}, {`~`, []string{"~"}}, {`@`, []string{"@"}}, {`<>`, []string{"<>"}}, {`"`, []string{`"`}}, {`'`, []string{"'"}}, {"`", []string{"`"}}, {`/`, []string{"/"}}, {`é`, []string{"é", "e"}}, {`漢字`, []string{"漢字"}}, {`\x{1F600}`, []string{"😀"}}, {"\x00", []string{"\x00"}}, {"a\nb", []string{"a\nb"}}, {"\ufeff", []string{"\ufeff"}}, {`a^b`, []string{"a^b", "ab"}}, {`a$b`, []string{"a$b", "ab"}}, {`(?m)a$\n^b`, []string{"a\nb"}}, {`^^a$$`, []string{"a"}}, {` `, []string{" "}}, {` ^a`, []string{" a", "a"}},
}

var common = []string{"", "a", "1.2.3", "v1.2.3-rc.1"}

func main() {
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for _, row := range rows {
		compiled, err := regexp.Compile(row.pattern)
		if err != nil {
			fmt.Fprintf(out, "%s\t\terror\n", quote(row.pattern))
			continue
		}
		for _, text := range append(row.texts, common...) {
			fmt.Fprintf(out, "%s\t%s\t%s\n", quote(row.pattern), quote(text), answer(compiled, text))
		}
	}
}

func answer(compiled *regexp.Regexp, text string) string {
	found := compiled.FindStringSubmatchIndex(text)
	if found == nil {
		return "no-match"
	}
	if compiled.NumSubexp() == 0 {
		return "match\t" + quote(text)
	}
	group := max(compiled.SubexpIndex("order"), 1)
	if found[2*group] < 0 {
		return "match-without-group"
	}
	return "match\t" + quote(text[found[2*group]:found[2*group+1]])
}

func quote(text string) string {
	quoted := strconv.QuoteToASCII(text)
	return quoted[1 : len(quoted)-1]
}
