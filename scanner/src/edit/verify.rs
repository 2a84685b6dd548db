//! Puts splices into a text and proves that they did what they were meant to do, and nothing else (S7.3).
//!
//! Owns the only way to an edited text: [`Verified`] has no other constructor than [`splice`], and [`splice`] ends with
//! the proof. The proof trusts nobody: it parses the text before and after with the bare parser, and walks both
//! streams of events in step. Linear in the text, whatever the number of splices (S7.6).

use std::borrow::Borrow;
use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, Span, StrInput, options};

const NOT_FOUND: &str = "the place for a new entry was not found";

/// One place where the text changes, and what that is to mean.
#[derive(Debug, Clone)]
pub(super) struct Splice {
    /// The bytes that go.
    pub(super) range: Range<usize>,
    /// The bytes that come.
    pub(super) text: String,
    /// What the parser must see afterwards.
    pub(super) meaning: Meaning,
}

/// What a splice means to a parser.
#[derive(Debug, Clone)]
pub(super) enum Meaning {
    /// The scalar that covers the splice's range has this value afterwards, keeping its anchor and its YAML tag; its
    /// style stays, or goes from plain to double quotes.
    Value(String),
    /// The mapping whose first byte is at `mapping` has these nodes after its first `after` entries.
    Inserted {
        /// Where the mapping's event starts.
        mapping: usize,
        /// How many entries stand before the new ones.
        after: usize,
        /// The new nodes, in order.
        nodes: Vec<Node>,
    },
}

/// A node that an insertion brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    /// A key or value without anchor and tag.
    Scalar(String),
    /// A mapping begins.
    MappingStart,
    /// A mapping ends.
    MappingEnd,
}

/// A text that was edited, parsed again, and found to differ as intended only.
#[derive(Debug)]
pub(super) struct Verified(String);

impl Verified {
    pub(super) fn into_text(self) -> String {
        self.0
    }
}

/// The trees differ otherwise than intended.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mismatch {
    /// Up to which byte of the old text the trees agree.
    pub(super) at: usize,
    /// What was found there.
    pub(super) reason: String,
}

/// Puts the splices, which are in order and apart, into `old`, and parses the result (S7.3).
///
/// # Errors
/// Where a splice is out of order, or the result means anything else than the splices say.
pub(super) fn splice<S: Borrow<Splice>>(old: &str, splices: &[S]) -> Result<Verified, Mismatch> {
    let added = splices.iter().map(|splice| splice.borrow().text.len()).sum::<usize>();
    let mut new = String::with_capacity(old.len() + added);
    let mut done = 0;
    for Splice { range, text, .. } in splices.iter().map(Borrow::borrow) {
        let kept = old.get(done..range.start).filter(|_| old.is_char_boundary(range.end) && range.start <= range.end);
        let Some(kept) = kept else {
            return Err(Mismatch { at: done, reason: "two changes overlap".into() });
        };
        new.push_str(kept);
        new.push_str(text);
        done = range.end;
    }
    new.push_str(&old[done..]);
    compare(old, &new, splices)?;
    Ok(Verified(new))
}

/// A stream of events without comments, which are counted and hashed on the way.
struct Events<'t> {
    parser: Parser<'t, StrInput<'t>>,
    comments: (usize, DefaultHasher),
}

impl<'t> Events<'t> {
    fn new(text: &'t str) -> Self {
        let options = options! {
            max_buffered_comment_events: 1_000_000,
            emit_anchor_events: true,
            emit_unresolved_aliases: true,
        };
        Self { parser: Parser::new_from_str_with_options(text, options), comments: (0, DefaultHasher::new()) }
    }

    /// The next event that is no comment, `None` at the end.
    fn next(&mut self) -> Result<Option<(Event<'t>, Span)>, String> {
        loop {
            match self.parser.next_event() {
                None => return Ok(None),
                Some(Ok((Event::Comment(text, _), _))) => {
                    self.comments.0 += 1;
                    text.hash(&mut self.comments.1);
                }
                Some(Ok(event)) => return Ok(Some(event)),
                Some(Err(error)) => return Err(error.to_string()),
            }
        }
    }

    fn comments(&self) -> (usize, u64) {
        (self.comments.0, self.comments.1.finish())
    }
}

/// An open collection of the old text.
struct Open<'s> {
    is_mapping: bool,
    /// It is a key, or stands in one.
    in_key: bool,
    /// Its anchor, 0 for none.
    anchor: usize,
    /// Something in it changed.
    is_changed: bool,
    /// Child nodes seen so far: in a mapping, keys and values.
    children: usize,
    /// What is to be inserted into it, and after how many children.
    insertion: Option<(usize, &'s [Node])>,
}

fn compare<S: Borrow<Splice>>(old_text: &str, new_text: &str, splices: &[S]) -> Result<(), Mismatch> {
    let mut old_events = Events::new(old_text);
    let mut new_events = Events::new(new_text);
    let mut values = splices
        .iter()
        .filter_map(|splice| match &splice.borrow().meaning {
            Meaning::Value(value) => Some((&splice.borrow().range, value)),
            Meaning::Inserted { .. } => None,
        })
        .peekable();
    let mut insertions: Vec<(usize, usize, &[Node])> = splices
        .iter()
        .filter_map(|splice| match &splice.borrow().meaning {
            Meaning::Inserted { mapping, after, nodes } => Some((*mapping, *after, nodes.as_slice())),
            Meaning::Value(_) => None,
        })
        .collect();
    insertions.sort_unstable_by_key(|(mapping, ..)| std::cmp::Reverse(*mapping));
    let mut open: Vec<Open<'_>> = Vec::new();
    // The anchors of what reads differently afterwards.
    let mut changed_anchors = HashSet::new();
    let mut at = 0;

    loop {
        let fail = |reason: &str| Mismatch { at, reason: reason.into() };
        let Some((old, span)) = old_events.next().map_err(|error| fail(&error))? else { break };
        let range = span.byte_range().ok_or_else(|| fail("the place of a node is unknown"))?;

        // The mapping's own anchor comes before its first entry.
        if !matches!(old, Event::Anchor(..))
            && let Some(top) = open.last_mut()
            && let Some((_, nodes)) = top.insertion.take_if(|(after, _)| *after == top.children)
        {
            for node in nodes {
                if !new_events.next().map_err(|error| fail(&error))?.is_some_and(|(event, _)| is_node(&event, node)) {
                    return Err(fail("a new entry does not read as intended"));
                }
            }
        }
        let Some((new, _)) = new_events.next().map_err(|error| fail(&error))? else {
            return Err(fail("the file ends early"));
        };
        let mut changed = match &old {
            Event::Alias(anchor) => changed_anchors.contains(anchor),
            _ => false,
        };
        match values.next_if(|(splice, _)| **splice == range && matches!(old, Event::Scalar(..))) {
            Some((_, value)) if is_changed(&old, &new, value) => changed = true,
            Some(_) => return Err(fail("the changed text does not read as intended")),
            None if old == new => {}
            None => return Err(fail("a place that was not to change reads differently")),
        }
        // Events of anchors and ends of blocks point back or ahead: places for blame must only grow.
        at = at.max(range.start);
        if changed && is_key(&open) {
            return Err(Mismatch { at, reason: "the key of a mapping would change".into() });
        }

        match old {
            Event::MappingStart(_, anchor, _) | Event::SequenceStart(_, anchor, _) => {
                let in_key = is_key(&open);
                let is_mapping = matches!(old, Event::MappingStart(..));
                count_child(&mut open);
                let insertion = insertions.pop_if(|(mapping, ..)| *mapping == range.start && is_mapping);
                let insertion = insertion.map(|(_, after, nodes)| (2 * after, nodes));
                open.push(Open { is_mapping, in_key, anchor, is_changed: false, children: 0, insertion });
            }
            Event::MappingEnd | Event::SequenceEnd => {
                let closed = open.pop();
                if let Some(Open { anchor, .. }) = closed.as_ref().filter(|closed| closed.is_changed) {
                    mark_changed(*anchor, &mut changed_anchors, &mut open);
                }
                let missed = closed.and_then(|closed| closed.insertion);
                let missed = missed.map(|_| Mismatch { at, reason: NOT_FOUND.into() });
                missed.map_or(Ok(()), Err)?;
            }
            Event::Scalar(..) | Event::Alias(_) | Event::UnresolvedAlias(_) => {
                count_child(&mut open);
                if changed {
                    let anchor = if let Event::Scalar(_, _, anchor, _) = old { anchor } else { 0 };
                    mark_changed(anchor, &mut changed_anchors, &mut open);
                }
            }
            _ => {}
        }
    }
    let fail = |reason: &str| Mismatch { at: old_text.len(), reason: reason.into() };
    if new_events.next().map_err(|error| fail(&error))?.is_some() {
        return Err(fail("the file ends late"));
    }
    if let Some((range, _)) = values.next() {
        return Err(Mismatch { at: range.end, reason: "the place to change was not found".into() });
    }
    if let Some((mapping, ..)) = insertions.pop() {
        return Err(Mismatch { at: mapping, reason: NOT_FOUND.into() });
    }
    if old_events.comments() != new_events.comments() {
        return Err(fail("a comment reads differently"));
    }
    Ok(())
}

fn count_child(open: &mut [Open<'_>]) {
    if let Some(top) = open.last_mut() {
        top.children += 1;
    }
}

/// Whether the next node is a key, or stands in one.
fn is_key(open: &[Open<'_>]) -> bool {
    open.last().is_some_and(|top| top.in_key || (top.is_mapping && top.children.is_multiple_of(2)))
}

/// Notes that a node with this anchor reads differently, and so does what holds it.
fn mark_changed(anchor: usize, anchors: &mut HashSet<usize>, open: &mut [Open<'_>]) {
    if anchor != 0 {
        anchors.insert(anchor);
    }
    if let Some(top) = open.last_mut() {
        top.is_changed = true;
    }
}

/// Whether `new` is `old` with the value changed and nothing else, but perhaps double quotes added (S7.2).
fn is_changed(old: &Event<'_>, new: &Event<'_>, value: &str) -> bool {
    let (Event::Scalar(_, old_style, old_anchor, old_tag), Event::Scalar(new_value, new_style, new_anchor, new_tag)) =
        (old, new)
    else {
        return false;
    };
    let quoted = *old_style == ScalarStyle::Plain && *new_style == ScalarStyle::DoubleQuoted;
    new_value == value && (old_style == new_style || quoted) && old_anchor == new_anchor && old_tag == new_tag
}

fn is_node(event: &Event<'_>, node: &Node) -> bool {
    match (event, node) {
        (Event::Scalar(value, _, 0, None), Node::Scalar(expected)) => value == expected,
        (Event::MappingStart(_, 0, None), Node::MappingStart) | (Event::MappingEnd, Node::MappingEnd) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str, old: &str, new: &str, means: &str) -> Splice {
        let start = text.find(old).unwrap();
        Splice { range: start..start + old.len(), text: new.into(), meaning: Meaning::Value(means.into()) }
    }

    #[test]
    fn what_was_intended_passes_s7_3() {
        let text = "\u{feff}---\r\n# é\r\na: &x '1'\r\nb: {c: 1.9, d: *x} # c\r\n...\r\n--- 😀\r\n";
        let splices = [value(text, "'1'", "'2'", "2"), value(text, "1.9", "\"1.10\"", "1.10")];
        let edited = splice(text, &splices).unwrap().into_text();
        assert_eq!(edited, "\u{feff}---\r\n# é\r\na: &x '2'\r\nb: {c: \"1.10\", d: *x} # c\r\n...\r\n--- 😀\r\n");
    }

    #[test]
    fn what_was_not_intended_is_found_s7_3() {
        let text = "a: 1\nb: {c: 2, d: 3} # e\nf: &x 4\n";
        for (old, new, means) in [
            // Another value than intended.
            ("2", "5", "6"),
            // The closing brace is lost, a key is gained, a document is gained.
            ("3} # e", "3 # e", "3"),
            ("1", "5\ng: 1", "5"),
            ("4\n", "5\n---\n", "5"),
            // The comment is swallowed, or one is gained.
            ("1", "5 # x", "5"),
            ("3} # e", "3}", "3"),
            // Tag, anchor or style are changed.
            ("1", "!!str 5", "5"),
            ("1", "&y 5", "5"),
            ("1", "'5'", "5"),
            ("&x 4", "4", "4"),
            // Another node than a scalar, or a part of one.
            ("{c: 2, d: 3}", "{c: 2, d: 4}", "4"),
            ("b", "b", "b "),
            // No YAML any more.
            ("1", "[", "["),
        ] {
            let result = splice(text, &[value(text, old, new, means)]);
            assert!(result.is_err(), "{old:?} -> {new:?}: {result:?}");
        }
    }

    #[test]
    fn keys_stay_s7_4() {
        for text in [
            "a: &x 1\n*x : b\n",
            "a: &x 1\n? *x\n: b\n",
            "a: &x 1\n? [c, *x]\n: b\n",
            "a: &x {c: 1}\n? *x\n: b\n",
            "a: &x 1\nb: &y [{c: *x}]\n? *y\n: d\n",
            "{1: b}\n",
            "{{a: 1}: b}\n",
        ] {
            let mismatch = splice(text, &[value(text, "1", "2", "2")]).unwrap_err();
            assert_eq!(mismatch.reason, "the key of a mapping would change", "{text}");
        }
        // An anchor that is given again means the last one; other keys stay as they are.
        let text = "a: &x 1\nb: &x 3\n*x : {c: &y 4}\n? *y\n: 5\n";
        assert!(splice(text, &[value(text, "1", "2", "2")]).is_ok());
        assert!(splice(text, &[value(text, "5", "2", "2")]).is_ok());
    }

    #[test]
    fn splices_out_of_order_are_refused_s7_3() {
        let text = "a: 1\nb: 2\n";
        let (one, two) = (value(text, "1", "3", "3"), value(text, "2", "4", "4"));
        assert!(splice(text, &[two.clone(), one.clone()]).is_err());
        assert!(splice(text, &[one.clone(), one.clone()]).is_err());
        assert!(splice(text, &[one, two]).is_ok());
        let beyond = Splice { range: 3..99, text: String::new(), meaning: Meaning::Value(String::new()) };
        assert!(splice(text, &[beyond]).is_err());
    }

    fn insertion(mapping: usize, after: usize, at: usize, text: &str, nodes: &[&str]) -> Splice {
        let nodes = nodes
            .iter()
            .map(|node| match *node {
                "{" => Node::MappingStart,
                "}" => Node::MappingEnd,
                value => Node::Scalar(value.into()),
            })
            .collect();
        Splice { range: at..at, text: text.into(), meaning: Meaning::Inserted { mapping, after, nodes } }
    }

    #[test]
    fn entries_are_found_where_they_belong_s7_7() {
        let text = "m:\n  a: 1\n  b: {}\nn: 2\n";
        assert!(splice(text, &[insertion(5, 2, 18, "  c: 3\n", &["c", "3"])]).is_ok());
        assert!(splice(text, &[insertion(5, 1, 10, "  c: 3\n", &["c", "3"])]).is_ok());
        assert!(splice(text, &[insertion(15, 0, 16, "c: 3", &["c", "3"])]).is_ok());
        assert!(splice("a: &x {}\n", &[insertion(6, 0, 7, "c: 3", &["c", "3"])]).is_ok());
        let nested = insertion(5, 2, 18, "  c:\n    d: 4\n", &["c", "{", "d", "4", "}"]);
        assert!(splice(text, &[nested]).is_ok());
        for (at, inserted, nodes) in [
            (18, "  c: 3\n", ["c", "4"]),
            // In the outer mapping, and before the last entry.
            (18, "c: 3\n", ["c", "3"]),
            (10, "  c: 3\n", ["c", "3"]),
            (18, "  c: 3\n  d: 4\n", ["c", "3"]),
            (18, "", ["c", "3"]),
        ] {
            assert!(splice(text, &[insertion(5, 2, at, inserted, &nodes)]).is_err(), "{inserted:?} at {at}");
        }
        assert!(splice(text, &[insertion(4, 2, 18, "  c: 3\n", &["c", "3"])]).is_err());
    }
}
