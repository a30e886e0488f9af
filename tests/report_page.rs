//! The report's page in a real browser: Chromium draws it, wide and narrow, light and dark, and
//! says what it measured. Where there is no Chromium the test fails, for nothing was looked at
//! then. The browser reaches no network: no name resolves for it.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use common::{tollgate, wait};

/// A busy machine may need this long to start a browser.
const BROWSER_WITHIN: Duration = Duration::from_secs(90);

/// A phone, a tablet and a desk, in CSS pixels.
const WIDTHS: [u32; 3] = [360, 768, 1200];

/// The height of the window: enough for the charts to be in it.
const HEIGHT: u32 = 5_000;

/// Blink's numbers for the schemes.
const DARK: u32 = 0;
const LIGHT: u32 = 1;

/// What Chromium is called where it is installed.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// A folder with a page made by the built command from the kept run.
struct Report {
    folder: TempDir,
}

impl Report {
    /// The page of the run that is kept beside the tests, changed by `change`.
    fn of(change: impl Fn(&mut Value)) -> Report {
        let folder = tempfile::tempdir().unwrap();
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/run-v3");
        for entry in fs::read_dir(kept).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
        }
        let record = folder.path().join("run.json");
        let mut run = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
        change(&mut run);
        fs::write(&record, run.to_string()).unwrap();
        let output = tollgate(&["report", folder.path().to_str().unwrap()]);
        assert!(output.status.success(), "{output:?}");
        Report { folder }
    }

    fn page(&self) -> PathBuf {
        self.folder.path().join("report.html")
    }

    /// A page that holds the report in a frame of this width and says what it measured there.
    fn framed(&self, width: u32) -> PathBuf {
        let page = fs::read_to_string(self.page()).unwrap();
        let escaped = page.replace('&', "&amp;").replace('<', "&lt;");
        let script = include_str!("report_page.js");
        let frame = format!(
            "<!doctype html><meta charset=utf-8><meta name=color-scheme content='light dark'>\
             <body style='margin:0'><pre id=measured></pre>\
             <iframe style='border:0' width={width} height={HEIGHT}></iframe>\
             <template id=page>{escaped}</template><script>{script}</script>"
        );
        let path = self.folder.path().join(format!("framed-{width}.html"));
        fs::write(&path, frame).unwrap();
        path
    }
}

/// What a run of the browser left.
struct Seen {
    dom: String,
    said: String,
}

fn browse(page: &Path, scheme: u32, width: u32, words: &[&str]) -> Seen {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| File::create(folder.path().join(name)).unwrap();
    let browser = BROWSERS.iter().find(|name| {
        Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success())
    });
    let browser = browser.expect("no Chromium was found: install the Debian package chromium");
    let mut child = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            "--enable-logging=stderr",
            &format!("--user-data-dir={}", folder.path().join("profile").display()),
            &format!("--blink-settings=preferredColorScheme={scheme}"),
            &format!("--window-size={width},{HEIGHT}"),
        ])
        .args(words)
        .arg(format!("file://{}", page.display()))
        .stdin(Stdio::null())
        .stdout(file("dom"))
        .stderr(file("said"))
        .spawn()
        .unwrap();
    let status = wait(&mut child, BROWSER_WITHIN);
    if status.is_none() {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let text = |name: &str| {
        String::from_utf8_lossy(&fs::read(folder.path().join(name)).unwrap()).into_owned()
    };
    let seen = Seen { dom: text("dom"), said: text("said") };
    assert!(status.is_some_and(|status| status.success()), "{status:?}\n{}", seen.said);
    seen
}

/// A screenshot as rows of red, green and blue.
struct Picture {
    width: usize,
    pixels: Vec<[u8; 3]>,
}

fn screenshot(page: &Path, scheme: u32, width: u32) -> Picture {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page.png");
    let seen = browse(page, scheme, width, &[&format!("--screenshot={}", file.display())]);
    // A breach of the page's own policy, a missing file, a script: all are said on the console.
    let console: Vec<&str> = seen.said.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert_eq!(console, [""; 0]);
    let decoder = png::Decoder::new(std::io::BufReader::new(File::open(file).unwrap()));
    let mut reader = decoder.read_info().unwrap();
    let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut bytes).unwrap();
    let samples = info.color_type.samples();
    assert!(samples >= 3 && info.bit_depth == png::BitDepth::Eight, "{info:?}");
    let pixels = bytes.chunks_exact(samples).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
    Picture { width: info.width as usize, pixels }
}

impl Picture {
    /// How many of its pixels have this colour.
    fn count(&self, colour: [u8; 3]) -> usize {
        self.pixels.iter().filter(|pixel| **pixel == colour).count()
    }

    /// The pixels of its left columns.
    fn left(self, columns: usize) -> Picture {
        let rows = self.pixels.chunks_exact(self.width);
        Picture {
            width: columns,
            pixels: rows.flat_map(|row| row[..columns].iter().copied()).collect(),
        }
    }
}

#[test]
fn the_page_is_drawn_wide_and_narrow_light_and_dark() {
    let report = Report::of(|_| {});
    // The paper and the first colour of a series, as the style sheet has them.
    let schemes = [
        (LIGHT, [0xff, 0xff, 0xff], [0x00, 0x72, 0xb2]),
        (DARK, [0x13, 0x14, 0x16], [0x56, 0xb4, 0xe9]),
    ];
    for (scheme, paper, blue) in schemes {
        for narrow in [false, true] {
            let picture = match narrow {
                false => screenshot(&report.page(), scheme, 1200),
                // A window is no narrower than 500.
                true => screenshot(&report.framed(360), scheme, 500).left(360),
            };
            let all = picture.pixels.len();
            let (empty, drawn) = (picture.count(paper), picture.count(blue));
            let place = format!("scheme {scheme}, narrow {narrow}: {empty} and {drawn} of {all}");
            assert_eq!(all, picture.width * HEIGHT as usize, "{place}");
            // Most of a page is paper, and words and charts take the rest.
            assert!(empty > all / 2 && empty < all / 100 * 98, "{place}");
            // Bars of the ladder and of the services.
            assert!(drawn > 2_000, "{place}");
        }
    }
}

fn measured(report: &Report, width: u32) -> Value {
    let seen = browse(&report.framed(width), LIGHT, 1300, &["--dump-dom"]);
    let text =
        seen.dom.split("<pre id=\"measured\">").nth(1).and_then(|t| t.split("</pre>").next());
    let text = text.unwrap_or_else(|| panic!("nothing was measured:\n{}", seen.said));
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text:?}\n{}", seen.said))
}

fn nothing_is_wrong(report: &Report) {
    for width in WIDTHS {
        let found = measured(report, width);
        assert_eq!(found["width"], width, "{found}");
        assert!(found["words"].as_u64().unwrap() > 200, "{found}");
        assert!(found["charts"].as_u64().unwrap() >= 5, "{found}");
        for fault in ["overflows", "cut", "overlaps", "fetched", "unnamed"] {
            assert_eq!(found[fault], serde_json::json!([]), "{fault} at {width} px");
        }
    }
}

#[test]
fn no_words_leave_their_box_and_nothing_is_fetched() {
    nothing_is_wrong(&Report::of(|_| {}));
}

#[test]
fn long_and_hostile_labels_change_nothing_of_that() {
    let long = "</script><img src=https://x.test/a.png>".repeat(4);
    let word = "w".repeat(200);
    nothing_is_wrong(&Report::of(|run| {
        run["plan"]["label"] = long.clone().into();
        run["plan"]["cells"][0]["rate_source"] = long.clone().into();
        for (at, list, key) in [(0, "variants", "label"), (2, "variants", "request")] {
            run["plan"][list][at][key] = long.clone().into();
        }
        run["plan"]["variants"][1]["label"] = word.clone().into();
        run["costs"][1]["label"] = long.clone().into();
        run["costs"][2]["label"] = word.clone().into();
        run["validity"]["notes"] = serde_json::json!([word, long]);
        run["environment"]["cpu_model"] = word.clone().into();
    }));
}
