//! The drawing: title, legend and frames. The script in it zooms and searches; without it, as in a
//! page that shows the file as an image, everything but that is there.

use super::tree::{Placed, place};
use super::{FlameGraph, FlameProfile};
use crate::markup::{Element, Markup, element};

/// Sizes in CSS pixels.
const WIDTH: f64 = 1_200.0;
const PAD: f64 = 10.0;
const ROW: f64 = 17.0;
const LINE: f64 = 18.0;
const TITLE: f64 = 30.0;

/// How wide a letter of a frame is, in a font whose letters are equally wide.
const LETTER: f64 = 6.7;

/// Narrower frames are left out: nothing could be seen of them.
const NARROWEST: f64 = 0.4;

/// Legend entries in a row.
const LEGEND_COLUMNS: usize = 3;

/// The colours of layers, light enough for black words.
const COLOURS: [&str; 12] = [
    "#f6b26b", "#ffd966", "#e6c9a8", "#c27ba0", "#b4a7d6", "#8fb8de", "#6fc3c3", "#93c47d",
    "#c9d98c", "#f4a6a0", "#bdbdbd", "#d9d2e9",
];

/// The colour of frames that belong to no layer, and of the row of all.
const NEUTRAL: &str = "#e4e4e4";

const STYLE: &str = "text{font:12px monospace;fill:#111}.title{font:bold 16px sans-serif}\
    .line{font:13px sans-serif}.f{cursor:pointer}.f text{font-size:11px;pointer-events:none}\
    .f rect{stroke:#fff;stroke-width:.5}.f:hover rect{stroke:#111;stroke-width:1}\
    .found rect{fill:#e040fb}.above{opacity:.55}#words{cursor:pointer;text-decoration:underline}";

const SCRIPT: &str = concat!("<![CDATA[", include_str!("flame.js"), "]]>");

/// The whole file.
pub(super) fn svg(flame: &FlameGraph<'_>) -> String {
    let frames = place(flame, NARROWEST / (WIDTH - 2.0 * PAD));
    let deepest = frames.iter().map(|frame| frame.depth).max().unwrap_or(0);
    let head = TITLE + LINE * (flame.lines.len() + 1 + legend_rows(flame)) as f64 + PAD;
    let height = head + ROW * (deepest + 1) as f64 + LINE + PAD;
    let scale = DifferenceColours::of(&frames);
    let bottom = height - LINE - PAD;
    let picture = element("svg")
        .with("xmlns", "http://www.w3.org/2000/svg")
        .with("viewBox", format!("0 0 {WIDTH} {height}"))
        .with("width", WIDTH)
        .with("height", height)
        .with("role", "img")
        .holds(element("title").holds(flame.title))
        .holds(element("style").holds(Markup::constant(STYLE)))
        .holds(element("rect").with("width", "100%").with("height", "100%").with("fill", "#fff"))
        .holds(heading(flame))
        .holds_all(frames.iter().map(|frame| drawn(frame, flame, &scale, bottom)))
        .holds(text(PAD, height - PAD, "line", "").with("id", "pointed"))
        .holds(element("script").holds(Markup::constant(SCRIPT)));
    format!("{}\n", Markup::from(picture))
}

fn legend_rows(flame: &FlameGraph<'_>) -> usize {
    flame.legend.len().div_ceil(LEGEND_COLUMNS)
}

/// The words above the frames.
fn heading(flame: &FlameGraph<'_>) -> Markup {
    let mut head: Markup = text(PAD, TITLE - 8.0, "title", flame.title).into();
    let mut at = TITLE + LINE - 6.0;
    for line in flame.lines {
        head.push(text(PAD, at, "line", line));
        at += LINE;
    }
    head.push(
        text(PAD, at, "line", "Click a frame to zoom, \u{201c}all\u{201d} to go back.")
            .with("id", "words"),
    );
    let column = (WIDTH - 2.0 * PAD) / LEGEND_COLUMNS as f64;
    for (index, (layer, words)) in flame.legend.iter().enumerate() {
        let left = PAD + column * (index % LEGEND_COLUMNS) as f64;
        let row = at + LINE * (1 + index / LEGEND_COLUMNS) as f64 + 4.0;
        if flame.against.is_none() {
            let places = [("x", left), ("y", row - 11.0), ("width", 12.0), ("height", 12.0)];
            head.push(element("rect").at(places).with("fill", colour(*layer)));
        }
        head.push(text(left + 18.0, row, "", words));
    }
    head
}

fn text(x: f64, y: f64, class: &str, words: &str) -> Element {
    let text = element("text").at([("x", x), ("y", y)]);
    let text = if class.is_empty() { text } else { text.class(class) };
    text.holds(words)
}

fn drawn(
    frame: &Placed,
    flame: &FlameGraph<'_>,
    scale: &DifferenceColours,
    bottom: f64,
) -> Element {
    let all = WIDTH - 2.0 * PAD;
    let (x, width) = (PAD + frame.left * all, frame.width * all);
    let y = bottom - ROW * (frame.depth + 1) as f64;
    let rect = [("x", x), ("y", y), ("width", width), ("height", ROW - 1.0)];
    let label = fitted(&frame.name, width);
    element("g")
        .class("f")
        .with("data-l", format!("{:.6}", frame.left))
        .with("data-w", format!("{:.6}", frame.width))
        .with("data-d", frame.depth)
        .with("data-n", &frame.name)
        .holds(element("title").holds(told(frame, &flame.profile, flame.against.as_ref())))
        .holds(element("rect").at(rect).with("fill", scale.fill(frame)))
        .holds(element("text").at([("x", x + 3.0), ("y", y + ROW - 5.0)]).holds(label))
}

/// What is said of a frame that is pointed at.
fn told(frame: &Placed, profile: &FlameProfile<'_>, against: Option<&FlameProfile<'_>>) -> String {
    let share = frame.width * 100.0;
    let Placed { name, us, .. } = frame;
    let own = format!("{name}: {us:.2} us a request, {share:.1}% of {}", profile.name);
    match (against, frame.against_us) {
        (Some(against), Some(other)) => {
            format!("{own}; {other:.2} us in {}, difference {:+.2} us", against.name, us - other)
        }
        _ => own,
    }
}

/// As much of a name as a frame has room for; nothing is better than two letters.
fn fitted(name: &str, width: f64) -> String {
    let room = ((width - 6.0) / LETTER).floor();
    let room = if room < 3.0 { 0 } else { room as usize };
    if name.chars().count() <= room {
        return name.to_owned();
    }
    let kept: String = name.chars().take(room.saturating_sub(2)).collect();
    if kept.is_empty() { kept } else { format!("{kept}..") }
}

fn colour(layer: usize) -> &'static str {
    COLOURS[layer % COLOURS.len()]
}

/// The colours of differences: as strong as the difference is beside the largest one of a frame
/// that is not everybody's caller, of which all others are parts.
struct DifferenceColours {
    largest_us: f64,
}

impl DifferenceColours {
    fn of(frames: &[Placed]) -> DifferenceColours {
        let inner = frames.iter().filter(|frame| frame.width < 0.9);
        let differences = inner.filter_map(|frame| Some((frame.us - frame.against_us?).abs()));
        DifferenceColours { largest_us: differences.fold(0.0, f64::max) }
    }

    fn fill(&self, frame: &Placed) -> String {
        let Some(against_us) = frame.against_us else {
            return frame.layer.map_or(NEUTRAL, colour).to_owned();
        };
        let difference = frame.us - against_us;
        if difference == 0.0 || self.largest_us == 0.0 {
            return "rgb(245,245,245)".to_owned();
        }
        // The root lifts small differences out of the white.
        let strength = (difference.abs() / self.largest_us).min(1.0).sqrt();
        let pale = (245.0 - 150.0 * strength).round();
        let full = (245.0 + 10.0 * strength).round();
        if difference > 0.0 {
            format!("rgb({full},{pale},{pale})")
        } else {
            format!("rgb({pale},{pale},{full})")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Stacks;
    use super::super::tests::stacks;
    use super::*;

    fn layer(name: &str) -> Option<usize> {
        ["kernel", "tls"].iter().position(|layer| name.starts_with(layer))
    }

    fn flame<'a>(own: &'a Stacks, against: Option<&'a Stacks>) -> FlameGraph<'a> {
        FlameGraph {
            title: "S4 <against> S1",
            lines: &[],
            profile: FlameProfile { name: "S4", stacks: own, request_us: 8.0 },
            against: against.map(|stacks| FlameProfile { name: "S1", stacks, request_us: 4.0 }),
            layer: &layer,
            legend: &[],
        }
    }

    /// The fill of a frame's box.
    fn fill(svg: &str, name: &str) -> String {
        let frame = svg.split("<g ").find(|part| part.contains(&format!("data-n=\"{name}\"")));
        let rect = frame.unwrap().split("fill=\"").nth(1).unwrap();
        rect.split('"').next().unwrap().to_owned()
    }

    #[test]
    fn a_graph_is_coloured_by_layer_and_says_what_a_frame_costs() {
        let own = stacks(&[("serve;tls;aes", 2), ("serve;kernel", 6)]);
        let legend = [(0, "kernel 6.00 us".to_owned()), (1, "TLS 2.00 us".to_owned())];
        let lines = ["CPU per request: 8.00 us".to_owned()];
        let svg = FlameGraph { legend: &legend, lines: &lines, ..flame(&own, None) }.svg();
        assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""));
        for words in ["S4 &lt;against&gt; S1", "CPU per request: 8.00 us", "TLS 2.00 us"] {
            assert!(svg.contains(words), "{words} is not in it");
        }
        assert!(svg.contains("aes: 2.00 us a request, 25.0% of S4"));
        assert_eq!(fill(&svg, "kernel"), COLOURS[0]);
        assert_eq!((fill(&svg, "tls"), fill(&svg, "aes")), (COLOURS[1].into(), COLOURS[1].into()));
        assert_eq!(fill(&svg, "serve"), NEUTRAL);
    }

    #[test]
    fn a_difference_is_red_for_more_and_blue_for_less() {
        // 8 us a request against 4: new costs 6 us more, old 2 us less, same nothing.
        let own = stacks(&[("new", 6), ("same", 2)]);
        let other = stacks(&[("old", 2), ("same", 2)]);
        let svg = flame(&own, Some(&other)).svg();
        assert_eq!(fill(&svg, "new"), "rgb(255,95,95)");
        assert_eq!(fill(&svg, "same"), "rgb(245,245,245)");
        assert!(svg.contains("new: 6.00 us a request, 75.0% of S4; 0.00 us in S1, difference +6"));
        assert!(!svg.contains("data-n=\"old\""), "it has no width in this profile");
        let svg = flame(&stacks(&[("same", 1), ("x", 9)]), Some(&other)).svg();
        assert_eq!(fill(&svg, "same"), "rgb(95,95,255)");
    }

    #[test]
    fn names_are_cut_to_their_frames_and_stay_words() {
        assert_eq!(fitted("tcp_sendmsg", 100.0), "tcp_sendmsg");
        assert_eq!(fitted("tcp_sendmsg_locked", 60.0), "tcp_se..");
        assert_eq!(fitted("tcp_sendmsg", 12.0), "");
        let svg = flame(&stacks(&[("<a as b>::\"c\"</svg>", 1)]), None).svg();
        assert_eq!(svg.matches("</svg>").count(), 1);
    }

    #[test]
    fn no_samples_are_a_picture_too() {
        assert!(flame(&Stacks::default(), None).svg().contains("S4 &lt;against&gt; S1"));
    }
}
