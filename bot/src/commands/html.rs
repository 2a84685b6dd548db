//! Which HTML elements are open at a point of a comment.
//!
//! Markdown ends an HTML block at an empty line; a browser does not end the element there. What stands in an open
//! `<details>` or behind an open `<!--` is hidden or part of something else, so it commands nothing (C1.2). This reads
//! tags as browsers do, as far as that matters, and errs to the side of "inside".

/// Elements that hold whatever follows until they are closed, over any number of paragraphs: blocks, and what
/// shows text as code, as deleted or as a link, which browsers open again in the next paragraph.
const STICKY: &[&str] = &[
    "a",
    "code",
    "del",
    "kbd",
    "s",
    "samp",
    "strike",
    "tt",
    "address",
    "article",
    "aside",
    "audio",
    "blockquote",
    "button",
    "canvas",
    "center",
    "details",
    "dialog",
    "dir",
    "div",
    "dl",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "frameset",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "head",
    "header",
    "hgroup",
    "iframe",
    "legend",
    "main",
    "map",
    "math",
    "menu",
    "nav",
    "noembed",
    "noframes",
    "noscript",
    "object",
    "ol",
    "picture",
    "plaintext",
    "pre",
    "script",
    "search",
    "section",
    "select",
    "style",
    "summary",
    "svg",
    "table",
    "template",
    "textarea",
    "title",
    "ul",
    "video",
    "xmp",
];

/// Elements within a paragraph, at whose end they are taken for closed.
const PHRASING: &[&str] = &[
    "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "data", "dfn", "em", "font", "i", "ins", "label", "mark",
    "meter", "nobr", "output", "progress", "q", "ruby", "small", "span", "strong", "sub", "sup", "time", "u", "var",
];

/// Elements whose content is text to a browser: only their own end tag ends them.
const RAW: &[&str] =
    &["script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes", "noscript", "plaintext"];

/// How many elements are told apart. Who nests deeper commands nothing from there on.
const MAX_OPEN: usize = 200;

/// The elements that are open, outermost first.
#[derive(Debug, Default)]
pub(super) struct OpenElements {
    open: Vec<&'static str>,
    in_comment: bool,
    too_deep: bool,
}

impl OpenElements {
    /// Whether nothing is open.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty() && !self.in_comment && !self.too_deep
    }

    /// How many elements are open, for [`OpenElements::close_to`].
    pub(super) fn depth(&self) -> usize {
        self.open.len()
    }

    /// Closes what was opened since: the end of a list item or a quote ends the elements in it. A comment goes on.
    pub(super) fn close_to(&mut self, depth: usize) {
        self.open.truncate(depth);
    }

    /// Closes what a paragraph's end closes.
    pub(super) fn end_paragraph(&mut self) {
        self.open.retain(|name| !PHRASING.contains(name));
    }

    /// Reads a stretch of HTML.
    pub(super) fn read(&mut self, html: &str) {
        let mut rest = html;
        loop {
            if self.in_comment {
                let Some(end) = rest.find("-->") else { return };
                rest = &rest[end + 3..];
                self.in_comment = false;
            }
            if let Some(raw) = self.open.last().filter(|name| RAW.contains(*name)) {
                let Some(at) = find_end_tag(rest, raw) else { return };
                rest = &rest[at..];
            }
            let Some(at) = rest.find('<') else { return };
            rest = &rest[at + 1..];
            if let Some(comment) = rest.strip_prefix("!--") {
                // `<!-->` and `<!--->` are whole comments.
                let closed = comment.strip_prefix('>').or_else(|| comment.strip_prefix("->"));
                self.in_comment = closed.is_none();
                rest = closed.unwrap_or(comment);
                continue;
            }
            let (closing, tag) = rest.strip_prefix('/').map_or((false, rest), |tag| (true, tag));
            if !tag.starts_with(|c: char| c.is_ascii_alphabetic()) {
                continue;
            }
            let end = tag.find(|c: char| c.is_ascii_whitespace() || matches!(c, '/' | '>')).unwrap_or(tag.len());
            let (name, attributes) = tag.split_at(end);
            rest = after_attributes(attributes);
            let Some(name) = STICKY.iter().chain(PHRASING).find(|known| name.eq_ignore_ascii_case(known)) else {
                continue;
            };
            match (closing, self.open.iter().rposition(|open| open == name)) {
                (true, Some(at)) => self.open.truncate(at),
                (true, None) => {}
                (false, _) if self.open.len() == MAX_OPEN => self.too_deep = true,
                (false, _) => self.open.push(name),
            }
        }
    }
}

/// What follows the `>` of a tag; nothing where the tag does not end.
fn after_attributes(attributes: &str) -> &str {
    let mut quote = None;
    for (at, c) in attributes.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '>' => return &attributes[at + 1..],
            None if matches!(c, '"' | '\'') => quote = Some(c),
            None => {}
        }
    }
    ""
}

/// Where `</name` begins, in any case.
fn find_end_tag(text: &str, name: &str) -> Option<usize> {
    text.match_indices("</")
        .map(|(at, _)| at)
        .find(|at| text.get(at + 2..at + 2 + name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open_after(html: &str) -> OpenElements {
        let mut open = OpenElements::default();
        open.read(html);
        open
    }

    #[test]
    fn elements_hold_until_they_are_closed_c1_2() {
        for html in [
            "<details>",
            "<DETAILS open>",
            "<details><summary>x</summary>",
            "<div title=\"</div>\">",
            "<div><div></div>",
            "<!-- -- >",
            "<pre",
            "<script></div></scrip>",
            "<div/>",
            "<span>",
        ] {
            assert!(!open_after(html).is_empty(), "{html}");
        }
        for html in [
            "",
            "a < b",
            "<br>",
            "<br/><img src='>'>",
            "<details></details>",
            "<details></DETAILS >",
            "<p>",
            "<container>",
            "<!-- <div> -->",
            "<!-->",
            "<!--->",
            "</div>",
            "<div><span></div>",
            "<script>'<div>'</script>",
            "<?php <!x>",
        ] {
            assert!(open_after(html).is_empty(), "{html}: {:?}", open_after(html));
        }
    }

    #[test]
    fn a_comment_outlives_what_it_is_in() {
        let mut open = open_after("<div><!--");
        open.close_to(0);
        assert!(!open.is_empty());
        open.read("-->");
        assert!(open.is_empty());
        let mut open = open_after("<details><b>");
        open.end_paragraph();
        assert_eq!(open.depth(), 1);
    }
}
