//! `leadsman schema`: the JSON Schema of each machine-readable output, and of a repository's configuration.

use clap::ValueEnum;
use clap::builder::PossibleValue;

use super::{Context, Outcome};
use crate::config::repository::RepositoryConfig;
use crate::output::Exit;
use crate::output::json::Document;

/// Prints the JSON Schema of an output, or of a repository's configuration
///
/// Each output is what the command of that name prints with `--format json`. `repository` is the file `.leadsman.yaml`
/// of a repository; `leadsman config schema` has the schema of the service's own configuration file.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The output, or `repository`
    #[arg(value_enum, value_name = "NAME")]
    name: Name,
}

#[derive(Debug, Clone, Copy)]
enum Name {
    Output(Document),
    Repository,
}

impl ValueEnum for Name {
    fn value_variants<'a>() -> &'a [Self] {
        const NAMES: [Name; Document::ALL.len() + 1] = {
            let mut names = [Name::Repository; Document::ALL.len() + 1];
            let mut at = 0;
            while at < Document::ALL.len() {
                names[at] = Name::Output(Document::ALL[at]);
                at += 1;
            }
            names
        };
        &NAMES
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            Self::Output(document) => document.to_possible_value(),
            Self::Repository => {
                Some(PossibleValue::new("repository").help("`.leadsman.yaml` at the root of a repository"))
            }
        }
    }
}

pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    let schema = match args.name {
        Name::Output(document) => document.schema(),
        Name::Repository => RepositoryConfig::schema(),
    };
    context.print(&crate::output::json::schema_text(&schema))?;
    Ok(Exit::Done)
}
