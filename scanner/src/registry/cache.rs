//! Remembers creation times by digest, and which digest a tag pointed at (S6.3).
//!
//! Owns one file, or none. Asks nobody and reads no clock. A time that is known for a digest is never asked for again,
//! for content does not change; a tag may move, so its digest is asked again after an hour, and ever more rarely while
//! it stays.
//!
//! The file is text, one entry a line, each with a checksum: a line that was damaged is passed over, and costs a
//! request. It is replaced as a whole, after what another process wrote in the meantime was read: two processes lose
//! each other nothing but a race of milliseconds, and that again costs only requests.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::reference::{Digest, ImageName, is_tag};

use super::manifest::Created;
use super::platform::Platform;

/// The first line; another one is another format, and the file counts as empty.
const HEADER: &str = "leadsman image times, 1";

/// The first and the longest time in seconds between two questions for a tag's digest.
const FIRST_INTERVAL: u32 = 3_600;
const LONGEST_INTERVAL: u32 = 7 * 24 * 3_600;

/// Tags not asked for in this many seconds are forgotten: their image is used no more.
const FORGET: i64 = 90 * 24 * 3_600;

/// A larger file is not read.
const MAX_FILE: u64 = 256 << 20;

/// What was seen of a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    digest: Hash,
    /// When it was found there, in seconds since 1970; while it stays, when the present interval began.
    since: i64,
    /// After how many seconds it is asked again.
    interval: u32,
    /// The look in which it was asked last; not kept in the file.
    asked: Option<i64>,
}

/// The 32 bytes of a digest.
type Hash = [u8; 32];

/// Whether a tag's digest has to be asked again (S6.3). A clock that went back counts as due.
fn is_due(seen: &Seen, now: i64) -> bool {
    now < seen.since || now - seen.since >= i64::from(seen.interval)
}

/// What is known of a tag once its digest was asked (S6.3): the interval doubles where it passed and the digest
/// stayed, up to seven days, and begins again at an hour where it moved.
fn after_asking(before: Option<&Seen>, digest: Hash, now: i64) -> Seen {
    match before {
        Some(seen) if seen.digest == digest && !is_due(seen, now) => Seen { asked: Some(now), ..*seen },
        Some(seen) if seen.digest == digest => Seen {
            digest,
            since: now,
            interval: seen.interval.saturating_mul(2).clamp(FIRST_INTERVAL, LONGEST_INTERVAL),
            asked: Some(now),
        },
        _ => Seen { digest, since: now, interval: FIRST_INTERVAL, asked: Some(now) },
    }
}

/// Creation times by digest and digests by tag, shared by all that look images up. Read when first needed.
#[derive(Debug, Default)]
pub struct TimeCache {
    path: Option<PathBuf>,
    state: Mutex<Option<State>>,
}

#[derive(Debug, Default)]
struct State {
    created: HashMap<Box<str>, HashMap<Hash, Created>>,
    tags: HashMap<ImageName, HashMap<Box<str>, Seen>>,
    changed: bool,
}

/// What the cache says of a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cached {
    /// Its digest and times are known and need not be asked.
    Known(Digest, Created),
    /// Its digest has to be asked; the times may be known for what comes back.
    Ask,
    /// Nothing is known.
    Unknown,
}

impl TimeCache {
    /// A cache kept in this file, which is read when the cache is first needed. None of its methods fails for the
    /// file's sake, except [`TimeCache::save`].
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self { path: Some(path), state: Mutex::default() }
    }

    /// A cache that ends with the program.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::default()
    }

    /// Writes what is new into the file, with what others wrote there since it was read. Does nothing where nothing is
    /// new. `now` decides which tags are forgotten.
    ///
    /// # Errors
    /// Where the file cannot be written; the old one is then as it was.
    pub fn save(&self, now: Timestamp) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(path), Some(state)) = (&self.path, state.as_mut().filter(|state| state.changed)) else {
            return Ok(());
        };
        state.merge(State::read(path));
        replace(path, &state.write(now.as_second()))?;
        state.changed = false;
        Ok(())
    }

    /// Whether this tag was ever looked into.
    #[must_use]
    pub fn knows(&self, image: &ImageName, tag: &str) -> bool {
        let mut state = self.state();
        self.loaded(&mut state).tags.get(image).is_some_and(|tags| tags.contains_key(tag))
    }

    /// What is known of a tag; `confirm` where its digest has to be asked at every look, unless this one did.
    pub(super) fn get(
        &self,
        image: &ImageName,
        tag: &str,
        platform: &Platform,
        now: Timestamp,
        confirm: bool,
    ) -> Cached {
        let now = now.as_second();
        let mut state = self.state();
        let state = self.loaded(&mut state);
        let Some(seen) = state.tags.get(image).and_then(|tags| tags.get(tag)) else { return Cached::Unknown };
        if seen.asked != Some(now) && (confirm || is_due(seen, now)) {
            return Cached::Ask;
        }
        let created = state.created.get(platform.to_string().as_str()).and_then(|all| all.get(&seen.digest));
        created.map_or(Cached::Ask, |created| Cached::Known(digest(seen.digest), *created))
    }

    /// The times of the image with this digest, if they are known.
    pub(super) fn created(&self, digest: &Digest, platform: &Platform) -> Option<Created> {
        let mut state = self.state();
        let state = self.loaded(&mut state);
        state.created.get(platform.to_string().as_str())?.get(&hash(digest)?).copied()
    }

    /// Keeps what a registry said of a tag.
    pub(super) fn put(
        &self,
        image: &ImageName,
        tag: &str,
        platform: &Platform,
        digest: &Digest,
        created: Created,
        now: Timestamp,
    ) {
        let Some(hash) = hash(digest) else { return };
        let mut state = self.state();
        let state = self.loaded(&mut state);
        let tags = state.tags.entry(image.clone()).or_default();
        let before = tags.get(tag);
        let after = after_asking(before, hash, now.as_second());
        state.changed |= before.is_none_or(|before| Seen { asked: None, ..*before } != Seen { asked: None, ..after });
        tags.insert(tag.into(), after);
        let all = state.created.entry(platform.to_string().into()).or_default();
        state.changed |= all.insert(hash, created) != Some(created);
    }

    fn state(&self) -> MutexGuard<'_, Option<State>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn loaded<'a>(&self, state: &'a mut Option<State>) -> &'a mut State {
        state.get_or_insert_with(|| self.path.as_deref().map(State::read).unwrap_or_default())
    }
}

impl State {
    /// Reads what can be read.
    fn read(path: &Path) -> Self {
        match std::fs::metadata(path) {
            Ok(data) if data.is_file() && data.len() <= MAX_FILE => {}
            _ => return Self::default(),
        }
        std::fs::read(path).map(|text| Self::parse(&String::from_utf8_lossy(&text))).unwrap_or_default()
    }

    fn parse(text: &str) -> Self {
        let mut state = Self::default();
        let mut lines = text.lines();
        if lines.next() != Some(HEADER) {
            return state;
        }
        for line in lines {
            // A line that is damaged is one that is missing.
            let _ = state.read_line(line);
        }
        state
    }

    fn read_line(&mut self, line: &str) -> Option<()> {
        let (sum, line) = line.split_once(' ')?;
        if u32::from_str_radix(sum, 16).ok()? != checksum(line) {
            return None;
        }
        let mut words = line.split(' ');
        let kind = words.next()?;
        let mut next = || words.next();
        match kind {
            "time" => {
                let (platform, hash) = (next()?, unhex(next()?)?);
                let mut time = || -> Option<Option<Timestamp>> {
                    match next()? {
                        "-" => Some(None),
                        text => text.parse().ok().map(Some),
                    }
                };
                let created = Created { annotation: time()?, label: time()?, config: time()? };
                self.created.entry(platform.into()).or_default().insert(hash, created);
            }
            "tag" => {
                let image = ImageName::from_canonical(next()?)?;
                let tag = next().filter(|tag| is_tag(tag))?;
                let seen = Seen {
                    digest: unhex(next()?)?,
                    since: next()?.parse().ok()?,
                    interval: next()?.parse().ok()?,
                    asked: None,
                };
                self.tags.entry(image).or_default().insert(tag.into(), seen);
            }
            _ => return None,
        }
        Some(())
    }

    /// Adds what another process knows; of two opinions on a tag, the later one holds.
    fn merge(&mut self, other: Self) {
        for (platform, times) in other.created {
            let own = self.created.entry(platform).or_default();
            for (hash, created) in times {
                own.entry(hash).or_insert(created);
            }
        }
        for (image, tags) in other.tags {
            let own = self.tags.entry(image).or_default();
            for (tag, seen) in tags {
                let known = own.entry(tag).or_insert(seen);
                if known.since < seen.since {
                    *known = Seen { asked: known.asked, ..seen };
                }
            }
        }
    }

    fn write(&self, now: i64) -> String {
        let mut text = format!("{HEADER}\n");
        let mut line = String::new();
        let mut end = |line: &mut String| {
            let _ = writeln!(text, "{:08x} {line}", checksum(line));
            line.clear();
        };
        for (platform, times) in &self.created {
            for (hash, created) in times {
                let _ = write!(line, "time {platform} {}", hex(hash));
                for time in [created.annotation, created.label, created.config] {
                    let _ = match time {
                        Some(time) => write!(line, " {time}"),
                        None => write!(line, " -"),
                    };
                }
                end(&mut line);
            }
        }
        for (image, tags) in &self.tags {
            let kept = tags.iter().filter(|(_, seen)| now - seen.since < FORGET.max(2 * i64::from(seen.interval)));
            for (tag, seen) in kept {
                let _ = write!(line, "tag {image} {tag} {} {} {}", hex(&seen.digest), seen.since, seen.interval);
                end(&mut line);
            }
        }
        text
    }
}

/// Puts a new file in the old one's place: whoever reads sees one or the other.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let written = std::fs::File::create(&temporary)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&temporary, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

/// FNV-1a: finds what disks and cut writes do, not what a person does on purpose to a file of their own.
fn checksum(line: &str) -> u32 {
    line.bytes().fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

fn hash(digest: &Digest) -> Option<Hash> {
    unhex(digest.hex())
}

fn digest(hash: Hash) -> Digest {
    Digest::from_sha256(hash)
}

fn hex(hash: &Hash) -> String {
    digest(*hash).hex().to_owned()
}

fn unhex(text: &str) -> Option<Hash> {
    let mut hash = Hash::default();
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (index, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::KnownHosts;

    const HOUR: i64 = 3_600;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn image(name: &str) -> ImageName {
        ImageName::parse(name, &KnownHosts::default()).unwrap()
    }

    fn made(second: i64) -> Created {
        Created { config: Some(at(second)), ..Created::default() }
    }

    #[test]
    fn a_digest_that_stays_is_asked_ever_more_rarely_s6_3() {
        let (a, b) = ([1; 32], [2; 32]);
        let mut seen = after_asking(None, a, 0);
        assert!(!is_due(&seen, HOUR - 1) && is_due(&seen, HOUR));
        let mut now = 0;
        let mut waits = Vec::new();
        for _ in 0..10 {
            now += i64::from(seen.interval);
            seen = after_asking(Some(&seen), a, now);
            waits.push(i64::from(seen.interval) / HOUR);
        }
        assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 168, 168, 168]);
        // Asked in between, as the winner is, it neither doubles nor begins anew.
        let between = after_asking(Some(&seen), a, now + HOUR);
        assert_eq!((between.since, between.interval), (seen.since, seen.interval));
        assert_eq!(after_asking(Some(&seen), b, now).interval, FIRST_INTERVAL);
        assert!(is_due(&seen, now - 1), "a clock that went back proves nothing");
    }

    #[test]
    fn the_winner_is_asked_at_every_look_but_once_in_it_s6_3() {
        let (cache, name, platform) = (TimeCache::in_memory(), image("a.io/b"), Platform::default());
        let one = Digest::of(b"1");
        assert_eq!(cache.get(&name, "1", &platform, at(0), false), Cached::Unknown);
        cache.put(&name, "1", &platform, &one, made(7), at(0));
        let known = Cached::Known(one.clone(), made(7));
        assert_eq!(cache.get(&name, "1", &platform, at(0), true), known);
        assert_eq!(cache.get(&name, "1", &platform, at(60), true), Cached::Ask);
        assert_eq!(cache.get(&name, "1", &platform, at(60), false), known);
        assert_eq!(cache.get(&name, "1", &platform, at(HOUR), false), Cached::Ask);
        assert_eq!(cache.get(&name, "1", &"linux/arm64".parse().unwrap(), at(60), false), Cached::Ask);
        assert_eq!(cache.created(&one, &platform), Some(made(7)));
    }

    #[test]
    fn what_was_kept_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep").join("times");
        let (name, platform) = (image("localhost:5000/a/b"), Platform::default());
        let digest = Digest::of(b"1");
        let created = Created { annotation: Some("2025-01-01T00:00:00.5Z".parse().unwrap()), ..made(99) };
        let cache = TimeCache::at(path.clone());
        cache.save(at(0)).unwrap();
        assert!(!path.exists(), "nothing to say, nothing written");
        cache.put(&name, "v1", &platform, &digest, created, at(10));
        cache.save(at(10)).unwrap();

        let again = TimeCache::at(path.clone());
        assert_eq!(again.get(&name, "v1", &platform, at(20), false), Cached::Known(digest.clone(), created));
        again.put(&name, "v1", &platform, &digest, created, at(20));
        let written = std::fs::metadata(&path).unwrap().modified().unwrap();
        again.save(at(20)).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().modified().unwrap(), written, "nothing new");
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn two_processes_keep_what_each_learnt() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("times");
        let (name, platform) = (image("a.io/b"), Platform::default());
        let (first, second) = (TimeCache::at(path.clone()), TimeCache::at(path.clone()));
        for (cache, tag, content) in [(&first, "1", b"1"), (&second, "2", b"2")] {
            cache.put(&name, tag, &platform, &Digest::of(content), made(1), at(0));
        }
        // Both saw tag 3, the second later and elsewhere.
        first.put(&name, "3", &platform, &Digest::of(b"old"), made(1), at(0));
        second.put(&name, "3", &platform, &Digest::of(b"new"), made(2), at(5));
        second.save(at(5)).unwrap();
        first.save(at(6)).unwrap();
        let all = TimeCache::at(path);
        for tag in ["1", "2"] {
            assert!(matches!(all.get(&name, tag, &platform, at(7), false), Cached::Known(..)), "{tag}");
        }
        assert_eq!(all.get(&name, "3", &platform, at(7), false), Cached::Known(Digest::of(b"new"), made(2)));
    }

    #[test]
    fn damage_costs_the_damaged_lines_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("times");
        let (name, platform) = (image("a.io/b"), Platform::default());
        let cache = TimeCache::at(path.clone());
        for tag in ["1", "2", "3"] {
            cache.put(&name, tag, &platform, &Digest::of(tag.as_bytes()), made(1), at(0));
        }
        cache.save(at(0)).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let count = |text: &[u8]| {
            std::fs::write(&path, text).unwrap();
            let cache = TimeCache::at(path.clone());
            ["1", "2", "3"]
                .iter()
                .filter(|tag| matches!(cache.get(&name, tag, &platform, at(1), false), Cached::Known(..)))
                .count()
        };
        assert_eq!(count(text.as_bytes()), 3);
        assert_eq!(count(text.replace(" a.io/b 2 ", " a.io/b 4 ").as_bytes()), 2);
        assert!(count(&text.as_bytes()[..text.len() - 5]) >= 2, "a cut write");
        for index in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[index] ^= 0x15;
            assert!(count(&bytes) < 3 || bytes[index].is_ascii_whitespace(), "a flip at {index} was not found");
        }
        assert_eq!(count(b"\xff\xfe nonsense"), 0);
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        let cache = TimeCache::at(path.clone());
        assert_eq!(cache.get(&name, "1", &platform, at(1), false), Cached::Unknown);
        cache.put(&name, "1", &platform, &Digest::of(b"1"), made(1), at(0));
        assert!(cache.save(at(1)).is_err(), "a folder in its place is said");
    }

    #[test]
    fn tags_nobody_asks_for_are_forgotten_and_times_are_not_s6_3() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("times");
        let (name, platform) = (image("a.io/b"), Platform::default());
        let cache = TimeCache::at(path.clone());
        cache.put(&name, "1", &platform, &Digest::of(b"1"), made(1), at(0));
        cache.save(at(FORGET + 1)).unwrap();
        let again = TimeCache::at(path);
        assert_eq!(again.get(&name, "1", &platform, at(FORGET + 1), false), Cached::Unknown);
        assert_eq!(again.created(&Digest::of(b"1"), &platform), Some(made(1)));
    }
}
