//! `leadsman config`: the configuration in effect, whether it is right, and its schema.

use clap::Subcommand;

use super::{Context, Outcome};
use crate::config::{Config, Loaded, Origin};
use crate::output::error::CliError;
use crate::output::json::{self, ConfigView};
use crate::output::table::{Cell, Shrink, Table};
use crate::output::text::escape;
use crate::output::{Exit, Format, style};
use crate::render::Renderer;

/// Shows and checks the configuration
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Prints the values in effect and where each came from
    Show {
        /// How to print
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        format: Format,
    },
    /// Checks the configuration, and that the files and variables it names are there
    Check,
    /// Prints the JSON Schema of the configuration file
    Schema,
}

pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    match args.command {
        ConfigCommand::Show { format } => show(format, context),
        ConfigCommand::Check => check(context),
        ConfigCommand::Schema => {
            context.print(&json::schema_text(&Config::schema()))?;
            Ok(Exit::Done)
        }
    }
}

fn show(format: Format, context: &Context) -> Outcome {
    let loaded = context.load()?;
    let text = match format {
        Format::Json => json::document(&ConfigView::of(&loaded)),
        Format::Human => table(&loaded, context),
    };
    context.print(&text)?;
    Ok(Exit::Done)
}

fn table(loaded: &Loaded, context: &Context) -> String {
    let look = context.ui.out;
    let mut table =
        Table::new(&[("KEY", Shrink::Middle(24)), ("VALUE", Shrink::End(16)), ("FROM", Shrink::Middle(20))]);
    for setting in &loaded.settings {
        let value = setting.value.as_str().map_or_else(|| setting.value.to_string(), ToOwned::to_owned);
        let (origin, color) = match &setting.origin {
            Origin::Default => ("default".to_owned(), style::DIM),
            Origin::Variable(name) => (name.clone(), style::PLACE),
            Origin::File { line, .. } => (format!("line {line}"), style::PLACE),
        };
        table.row(vec![Cell::new(&setting.key), Cell::new(&value), Cell::styled(&origin, color)]);
    }
    let file = match (&loaded.file, &loaded.user_file) {
        (Some((path, _)), _) => format!("file: {}\n\n", escape(&path.to_string_lossy())),
        (None, Some(path)) => format!("file: none ({} is not there)\n\n", escape(&path.to_string_lossy())),
        (None, None) => "file: none\n\n".to_owned(),
    };
    file + &table.render(look)
}

fn check(context: &Context) -> Outcome {
    let loaded = context.load()?;
    let config = &loaded.config;
    for (host, registry) in &config.registries {
        registry.password(&context.environment, host)?;
        registry.check_ca(host)?;
    }
    for (host, forge) in &config.forges {
        forge.token(&context.environment, host)?;
        forge.webhook_secrets(&context.environment, host)?;
        forge.check_ca(host)?;
    }
    config.registry_webhooks.secrets(&context.environment)?;
    if let Some(folder) = &config.templates_dir {
        let templates = crate::config::read_templates(folder, crate::render::TEMPLATES)?;
        let renderer = Renderer::with_overrides(&templates)
            .map_err(|error| CliError::usage("the templates that come with Leadsman are broken").because(&error))?;
        if let Some(notice) = renderer.notices().first() {
            return Err(CliError::usage(notice.clone()).hint("the folder is named by `templates_dir`"));
        }
    }
    let file = loaded.file.as_ref().map_or_else(
        || "no configuration file; defaults and variables".to_owned(),
        |(path, _)| escape(&path.to_string_lossy()).into_owned(),
    );
    context.print(&format!("{} {file}\n", context.ui.out.paint(style::GOOD, "ok:")))?;
    Ok(Exit::Done)
}
