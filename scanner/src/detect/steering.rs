//! Annotations about one container to what its choice goes by (S4.2, S4.4, S4.5).
//!
//! What cannot be read never makes a choice bolder: the container then gets no update, and the reason is said.

use std::collections::HashMap;

use super::annotations::{About, Annotation};
use crate::choose::{OrderError, Policy, parse_age};
use crate::diagnostic::{Code, Diagnostic};
use crate::filter::Filter;
use crate::manifest::Tree;
use crate::reference::{ImageName, KnownHosts};
use crate::registry::{Platform, PlatformError};

/// What steers one container.
#[derive(Debug, Clone, PartialEq)]
pub struct Steering {
    /// Whether the workload is automated (S4.1).
    pub automated: bool,
    /// The filter as it was written, or the default.
    pub filter: Box<str>,
    /// What the choice goes by. Where the filter is invalid it has the default one, and the container is settled as
    /// `filter-invalid`.
    pub policy: Policy,
    /// The platform whose image of an index is asked for its creation time (S6.2); `None`: the configured one.
    pub platform: Option<Platform>,
    /// Where to ask for tags instead of the image's own name (S2.8).
    pub look_up: Option<ImageName>,
}

/// Filters of one file, each parsed once.
pub(super) type Filters<'a> = HashMap<&'a str, Result<Filter, String>>;

/// The steering of one container; the second part says why its filter or another annotation is unusable.
pub(super) fn steering<'a>(
    tree: &Tree<'_>,
    automated: bool,
    annotations: &[Annotation<'a>],
    hosts: &KnownHosts,
    filters: &mut Filters<'a>,
    diagnostics: &mut Vec<Diagnostic>,
) -> (Steering, Option<String>) {
    let mut report = |code, annotation: &Annotation<'_>, message: String, hint: Option<String>| {
        let (line, column) = tree.position(annotation.node);
        let mut diagnostic = Diagnostic::new(code, "", message).at(line, column);
        diagnostic.hint = hint;
        diagnostics.push(diagnostic);
    };
    let mut fault = None;
    // They are in the order in which they win.
    let mut given = annotations.iter().filter(|annotation| annotation.about.is_filter());
    let first = given.next();
    if let Some(first) = first {
        for other in given.filter(|other| other.value != first.value) {
            let message = format!(
                "`{}{}` says `{}` and is overruled by `{}{}`, which says `{}`",
                other.about.prefix(),
                other.container,
                other.value,
                first.about.prefix(),
                first.container,
                first.value
            );
            report(Code::FilterConflict, other, message, Some("remove one of the two".into()));
        }
    }
    let text = first.map_or("glob:*", |annotation| annotation.value);
    let parsed = filters.entry(text).or_insert_with(|| Filter::parse(text).map_err(|error| error.to_string()));
    let filter = match parsed {
        Ok(filter) => filter.clone(),
        Err(reason) => {
            fault = Some(reason.clone());
            Filter::default()
        }
    };
    if let Some(first) = first {
        if let Some(reason) = &fault {
            let message = format!("the filter `{text}` of `{}` matches nothing: {reason}", first.container);
            report(Code::FilterInvalid, first, message, None);
        } else if Filter::has_stray_space(text) {
            let message = format!("the filter `{text}` of `{}` has white space, which counts", first.container);
            report(Code::FilterHasSpace, first, message, Some(format!("write `{}`", without_space(text))));
        }
    }
    let mut steering =
        Steering { automated, filter: text.into(), policy: Policy::new(filter), platform: None, look_up: None };
    for annotation in annotations {
        let value = annotation.value;
        let outcome = match annotation.about {
            About::Order => {
                value.parse().map(|order| steering.policy.order = order).map_err(|e: OrderError| e.to_string())
            }
            About::MinAge => {
                parse_age(value).map(|age| steering.policy.min_age = Some(age)).map_err(|error| error.to_string())
            }
            About::Platform => value
                .parse()
                .map(|platform| steering.platform = Some(platform))
                .map_err(|e: PlatformError| e.to_string()),
            About::LookUp => ImageName::parse(value, hosts)
                .map(|name| steering.look_up = Some(name))
                .map_err(|error| error.to_string()),
            About::AllowDowngrade | About::AllowVariant => {
                let allowed = match annotation.about {
                    About::AllowDowngrade => &mut steering.policy.allow_downgrade,
                    _ => &mut steering.policy.allow_variant,
                };
                match (value, tree.scalar(annotation.node).is_some_and(|scalar| scalar.is_string_everywhere())) {
                    ("true", true) => *allowed = true,
                    ("false", true) => {}
                    // Not allowing is the safe side, so this alone holds nothing back.
                    _ => report(
                        Code::AnnotationInvalid,
                        annotation,
                        format!(
                            "`{}{}` is not the string `\"true\"`, so it allows nothing",
                            annotation.about.prefix(),
                            annotation.container
                        ),
                        Some("write `\"true\"` with quotes".into()),
                    ),
                }
                Ok(())
            }
            About::Filter
            | About::TagFilter
            | About::OldTagFilter
            | About::Repository
            | About::Registry
            | About::Tag => Ok(()),
        };
        if let Err(reason) = outcome {
            let message = format!("`{}{}` is unusable: {reason}", annotation.about.prefix(), annotation.container);
            report(Code::AnnotationInvalid, annotation, message.clone(), None);
            fault.get_or_insert(message);
        }
    }
    (steering, fault)
}

/// The filter as it was probably meant.
fn without_space(text: &str) -> String {
    let text = text.trim();
    match text.split_once(':') {
        Some((prefix @ ("glob" | "regex" | "regexp" | "semver"), rest)) => format!("{prefix}:{}", rest.trim()),
        _ => text.into(),
    }
}
