//! What can be typed after `tollgate report`.

use argh::FromArgs;

/// Make a page, a comment or a table from a run that was kept; nothing is measured.
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "report")]
pub(crate) struct ReportArgs {
    /// directory of a run, or its run.json
    #[argh(positional)]
    pub(crate) run: String,
    /// html, text, markdown, json or csv (default: html)
    #[argh(option, default = "String::from(\"html\")")]
    pub(crate) output_format: String,
    /// file to write, - for standard output (default: RUN/report.html; standard output for text,
    /// markdown, json and csv)
    #[argh(option, short = 'o')]
    pub(crate) output: Option<String>,
    /// open the page in a browser: yes or no (default: no)
    #[argh(option, default = "String::from(\"no\")")]
    pub(crate) open: String,
}
