//! Markdown of others as HTML that does nothing. Pure.
//!
//! Raw HTML is shown as it is written, HTML comments are left out, images become links, and links lead to `http` and
//! `https` only. Characters that hide or turn text are replaced. What comes out holds no tag that is not made here.

use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, html::push_html};

use crate::render::markdown::is_hidden;

/// The longest text that is rendered, in bytes; the rest is left out, and that is said.
const MAX_TEXT: usize = 256 << 10;

/// The text as HTML.
#[must_use]
pub fn html(text: &str) -> String {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let shown: String = text[..end]
        .chars()
        .map(|c| if is_hidden(c) && !matches!(c, '\n' | '\r' | '\t') { '\u{fffd}' } else { c })
        .collect();
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut out = String::with_capacity(shown.len() * 3 / 2);
    push_html(&mut out, Harmless { events: Parser::new_ext(&shown, options), dropped: Vec::new(), block: None });
    if end < text.len() {
        out.push_str("<p><em>The rest is too long to be shown.</em></p>\n");
    }
    out
}

/// Events without what could act.
struct Harmless<'a, I> {
    events: I,
    /// For each open link or image, whether its tag was left out.
    dropped: Vec<bool>,
    /// The text of the open block of raw HTML.
    block: Option<CowStr<'a>>,
}

impl<'a, I: Iterator<Item = Event<'a>>> Iterator for Harmless<'a, I> {
    type Item = Event<'a>;

    fn next(&mut self) -> Option<Event<'a>> {
        loop {
            match self.events.next()? {
                Event::Start(Tag::HtmlBlock) => self.block = Some(CowStr::Borrowed("")),
                Event::End(TagEnd::HtmlBlock) => {
                    if let Some(block) = self.block.take().filter(|block| !is_comment(block)) {
                        return Some(Event::Text(block));
                    }
                }
                Event::Html(part) => match &mut self.block {
                    Some(block) => *block = format!("{block}{part}").into(),
                    None => return Some(Event::Text(part)),
                },
                Event::InlineHtml(part) => {
                    if !is_comment(&part) {
                        return Some(Event::Text(part));
                    }
                }
                Event::Start(
                    Tag::Link { link_type, dest_url, title, id } | Tag::Image { link_type, dest_url, title, id },
                ) => {
                    let harmless = is_web(&dest_url);
                    self.dropped.push(!harmless);
                    if harmless {
                        return Some(Event::Start(Tag::Link { link_type, dest_url, title, id }));
                    }
                }
                Event::End(TagEnd::Link | TagEnd::Image) => {
                    if self.dropped.pop() == Some(false) {
                        return Some(Event::End(TagEnd::Link));
                    }
                }
                event => return Some(event),
            }
        }
    }
}

fn is_comment(html: &str) -> bool {
    let html = html.trim();
    html.starts_with("<!--") && html.find("-->").is_none_or(|at| at + 3 == html.len())
}

fn is_web(address: &str) -> bool {
    let begins = |scheme: &str| address.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    begins("https://") || begins("http://")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_rendered() {
        assert_eq!(html("a **b**"), "<p>a <strong>b</strong></p>\n");
        assert!(html("| a | b |\n| --- | --- |\n| c | `d` |").contains("<td><code>d</code></td>"));
        assert_eq!(html("[x](https://a.example/b)"), "<p><a href=\"https://a.example/b\">x</a></p>\n");
        assert_eq!(html("<https://a.example>"), "<p><a href=\"https://a.example\">https://a.example</a></p>\n");
    }

    #[test]
    fn nothing_in_it_acts() {
        for text in [
            "<script>alert(1)</script>",
            "a <img src=x onerror=alert(1)> b",
            "<div onclick=alert(1)>\n\ntext\n\n</div>",
            "[x](javascript:alert(1))",
            "[x](JavaScript&colon;alert(1))",
            "[x](data:text/html,<script>)",
            "<javascript:alert(1)>",
            "[x][y]\n\n[y]: javascript:alert(1)",
            "![x](javascript:alert(1))",
            "```<script>\n</code><script>\n```",
            "[x](https://a.example \"\"onmouseover=alert(1) \")",
            "[x](https://a.example/\"onmouseover=alert(1))",
            "<!-- --> <script> <!-- -->",
            "<!-- a\n\n--><script>alert(1)</script>",
            "| <script> |\n| --- |\n| <script> |",
        ] {
            let made = html(text);
            let tags: Vec<&str> = made.split('<').skip(1).map(|part| part.split('>').next().unwrap()).collect();
            for tag in tags {
                let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap();
                let plain = ["p", "a", "code", "pre", "table", "thead", "tbody", "tr", "th", "td", "em"];
                assert!(plain.contains(&name), "{text:?} made <{tag}> of {made}");
                let names: Vec<&str> = tag.split('"').step_by(2).collect();
                assert!(!names.concat().contains("on"), "{text:?} made <{tag}>");
            }
            assert!(!made.to_lowercase().contains("href=\"javascript"), "{text:?}: {made}");
        }
    }

    #[test]
    fn comments_are_left_out_and_other_html_is_shown() {
        assert_eq!(html("a\n\n<!-- leadsman {\"a\": 1}\nb -->\n\nc"), "<p>a</p>\n<p>c</p>\n");
        assert_eq!(html("a <!-- b --> c"), "<p>a  c</p>\n");
        assert!(html("<details>\n/merge\n</details>").contains("&lt;details&gt;"));
        assert!(!html("[a](ftp://b)").contains("href"));
        assert_eq!(html("![alt](https://a.example/i.png)"), "<p><a href=\"https://a.example/i.png\">alt</a></p>\n");
        assert!(html("a\u{202e}b").contains('\u{fffd}'));
    }

    #[test]
    fn it_is_bounded() {
        let long = html(&"é ".repeat(MAX_TEXT));
        assert!(long.len() < 2 * MAX_TEXT && long.contains("too long"));
        for deep in ["> ", "- ", "[", "![", "*a **b ", "<a>"] {
            assert!(html(&deep.repeat(MAX_TEXT / deep.len() / 16)).len() < 16 * MAX_TEXT, "{deep}");
        }
    }
}
