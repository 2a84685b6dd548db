// Prints what Masterminds/semver v3.1.1 says of pairs of a constraint and a version: constraint, version and one of
// match, no-match, bad-version, bad-constraint, or dropped. The last stands for a constraint that the library takes
// though its comparators do not cover the text, so that characters were dropped without a word.
// Columns are separated by tabs and written as Go string literals without their quotes.
// The output is tests/cases/semver/constraints.tsv.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/Masterminds/semver/v3"
)

var operators = []string{"", "=", "!=", ">", "<", ">=", "=>", "<=", "=<", "~", "~>", "^"}

var bounds = []string{
	"1", "1.2", "1.2.3", "v1.2.3", "0", "0.0", "0.0.0", "0.0.3", "0.2", "0.2.3", "2.0.0",
	"1.x", "1.X", "1.*", "1.2.x", "x", "*", "1.x.x", "0.x", "0.0.x",
	"1.2.3-beta.2", "1.2.3-0", "1.2-0", "1-0", "1.x-rc.1", "1.2.x-0", "0.0.0-0", "2.0.0-alpha",
	"01.02.03",
}

var versions = []string{
	"0.0.0", "0.0.3", "0.0.4", "0.1.3", "0.2.0", "0.2.3", "0.3.0",
	"1", "1.0.0", "1.1.9", "1.2.0", "1.2.3", "v1.2.3", "1.2.4", "1.3.0", "2.0.0", "2.1.3", "11.2.3",
	"1.2.3-alpha", "1.2.3-beta.2", "1.2.3-beta.10", "1.2.4-beta.2", "1.3.0-0", "2.0.0-rc.1", "0.0.0-0", "0.2.0-r1", "1.2.0+build.5",
}

// Whole constraints: combinations, spellings, and what nobody should write.
var constraints = []string{
	">=1.2.3, <2.0.0", ">=1.2.3 <2.0.0", ">1,<2", "^1.2 || ^2.0", "~1.2||~2", ">=1.0.0-0, <2.0.0-0", ">=1.0.0-rc.0, <1.3.0",
	"1.2 - 2.0", "1.2.3 - 1.2.4", "1 - 2", "0.2.0 - 1.x", "1.2.3-beta.2 - 1.2.4-0", "v1.2.3 - v2.0.0", "1 - 2 || 0.0.3", "1.2  -  1.3",
	"1 - 2, !=1.2.3", "1 -2", "1- 2", "1-2", "1 - 2 3", "1 - 2 - 3", "x - 2", "1 - *", ">1 - 2", " 1 - 2 ", "1 - 2||1 - 2",
	"!=1.2.3, >=1", "!=1, !=2", ">=1 !=1.2.3 <2", "<1 || >2", ">11", ">11.1", "<=11", "<=11.2", "^0.0", "^0", "^0.0.3", "^*", "~*", "!=*", ">*", "<*", ">=*", "<=*",
	"~1.2.3-beta.2", "~0.0.0", "~0.0.0-0", "~0.0", "~0", "~>1.2", "~> 1.2.3", "= 1.2.3", "=v1.2.3", " 1.2.3", "1.2.3 ", "\t>=\t1\t", ">=1\n", "\n", " ",
	"", ",", "1,", "1,,2", ",1", "1 ,2", "1, ", "1 || ", "|| 1", "1||", "||", "1|2", "|", "1 | 2", "1 |", ">", ">=", "=", "~", "^", "v", "vv1", "V1",
	"1.2.3.4", "1.2.33.4", ">=1.2.33.0", "1.2.3.x", "1..2", ".1", "1.", "1.2.", "1.2.3.", "1x", "1.2x", "1.2.3x", "xx", "**", "x.1", "*.2.3", "1.x.3", "1.x.3x", "1.2.*x",
	"1.2.3-", "1.2.3-01", "1.2.3-0.01", "1.2.3-a..b", "1.2.3-a.", "1.2.3+", "1.2.3+a", "1.2.3-a+b", "1.2+a", "1+a2+b", "1+22+3", "1.2.3-rc_1", "1.2.3-é",
	"==1.2.3", "= =1", "=!1", "!1.2.3", "<>1", "><1", ">>1", "^^1", "~~1", "~^1", "=>=1", "===1", "<=>1", "=~1", "!==1", "!= 1.2.3", "! =1", "> =1", "~ >1", "~>=1",
	">1<2", ">=1<2.1", "1.2.3v1.2.3", "1.2v1", "^1~1.2", "1.2.3>=1", "1.2.3-beta>=1", "1 2", "1.2.3 1.2.4", "1  ,  2", "1.2.3,1.2.3", "1\u00a0",
	"a", "latest", "1.a", "1.2.a", "a.b.c", "-1", ">-1", "+1", "1.-2", "#1", "(1)", "[1,2)", ">=1 && <2", "1 and 2", "18446744073709551615", "18446744073709551616",
	">=18446744073709551615.18446744073709551615.18446744073709551615", "1.99999999999999999999", "1.x.99999999999999999999",
	"20200101", ">=20200101", "<20200101", "*-0", "x-0", ">=0-0", ">=0.0.0-0", "*+a", "^1.2.3-beta.2", "^0.0.0-0", "^0.2.3-beta", "^0.0.3-0", "^1-0", "!=1.2.3-beta.2", "!=1.2-0", "!=1-0",
	">=1.2.3-beta.2, <1.2.3", ">=1.2.3-beta.2 <1.2.4-beta.9", ">1.2.3-99999999999999999999", "<1.2.3-99999999999999999999",
}

// Texts that may or may not be versions, tried against a few constraints.
var texts = []string{
	"", "v", "1", "v1", "V1", "V1.0.0", "1.2", "v1.2", "1.2.3", "1.2.3.4", "01", "01.02.03", "v01.2", "1.", "1..2", ".1", "1.2.", "x", "1.x", "1 ", " 1", "-1", "+1",
	"18446744073709551615", "18446744073709551616", "1.18446744073709551616", "00000000000000000000000000001.2",
	"1.2.3-", "1.2.3-a", "1-a", "1.2-a", "v1-alpine3.18", "1.2.3-01", "1.2.3-0", "1.2.3-00", "1.2.3-0a", "1.2.3-a.01", "1.2.3-a..b", "1.2.3-.a", "1.2.3-a.", "1.2.3--", "1.2.3--1", "1.2.3-a_b", "1.2.3-ä",
	"1.2.3+", "1.2.3+a", "1.2.3+01", "1.2.3-a+b", "1.2.3-a+b+c", "1.2.3+a..b", "1.2.3+a-b", "1.2.3-99999999999999999999", "1.2.3-99999999999999999998",
	"release-1.2.3", "latest", "20200101", "v20200101-rc", "2020.01.01", "1e3", "0x10", "1,2", "1_000", "3.7.1-debian-11-r3", "2024-06-27", "1.2.3-rc.1.x-y.7",
}

func main() {
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for _, operator := range operators {
		for at, bound := range bounds {
			for number, version := range versions {
				// A third of the product, evenly spread, keeps the table readable.
				if (at+number)%3 == 0 {
					row(out, operator+bound, version)
				}
			}
		}
	}
	for at, constraint := range constraints {
		for number, version := range versions {
			if (at+number)%3 == 0 {
				row(out, constraint, version)
			}
		}
	}
	for _, constraint := range []string{"*", ">=0.0.0-0", "!=7.7.7", ">=1.2.3-0", "<1.2.3-99999999999999999999"} {
		for _, version := range texts {
			row(out, constraint, version)
		}
	}
}

func row(out *bufio.Writer, constraint, version string) {
	fmt.Fprintf(out, "%s\t%s\t%s\n", quote(constraint), quote(version), answer(constraint, version))
}

func answer(constraint, version string) string {
	c, err := semver.NewConstraint(constraint)
	if err != nil {
		return "bad-constraint"
	}
	if !strings.Contains(constraint, " - ") && squeeze(c.String()) != squeeze(constraint) {
		return "dropped"
	}
	v, err := semver.NewVersion(version)
	if err != nil {
		return "bad-version"
	}
	if c.Check(v) {
		return "match"
	}
	return "no-match"
}

// squeeze leaves what makes up comparators.
func squeeze(text string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(" \t\n\f\r,", r) {
			return -1
		}
		return r
	}, text)
}

func quote(text string) string {
	quoted := strconv.QuoteToASCII(text)
	return quoted[1 : len(quoted)-1]
}
