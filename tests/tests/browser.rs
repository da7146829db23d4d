//! The map in a browser: the SVG, the HTML page, and the flowchart drawn by Mermaid.

use std::path::{Path, PathBuf};

use netviz::{
    model::Snapshot,
    views::building::{Map, graph, svg},
};
use netviz_tests::{
    builders::{
        hostile::{NAMES, data::cluster},
        random::Random,
        snapshot_builder::{self, blog},
    },
    cli::browser::Browser,
};

/// Reports overlapping texts in the drawing, using the text sizes of the browser.
const LOOK: &str = r#"<pre id="result"></pre><script>
const wrong = [];
const svg = document.querySelector("svg");
const bounds = svg.getBBox(), view = svg.viewBox.baseVal;
if (bounds.x < 0 || bounds.y < 0 || bounds.x + bounds.width > view.width || bounds.y + bounds.height > view.height)
  wrong.push("the picture is larger than its page");
const texts = [...svg.querySelectorAll("text")].map(text => [text.textContent, text.getBBox()]);
const houses = [...svg.querySelectorAll("rect.n")].map(house => house.getBBox());
const bottom = Math.max(...houses.map(house => house.y + house.height));
for (const [place, [text, a]] of texts.entries()) {
  if (a.y < bottom && !houses.every(house => (a.x > house.x && a.x + a.width < house.x + house.width) || a.x + a.width < house.x || a.x > house.x + house.width))
    wrong.push(`${text} reaches through a wall`);
  for (const [other, b] of texts.slice(place + 1))
    if (a.x < b.x + b.width - 1 && b.x < a.x + a.width - 1 && a.y < b.y + b.height - 3 && b.y < a.y + a.height - 3)
      wrong.push(`${text} is over ${other}`);
}
document.getElementById("result").textContent = `${texts.length} texts; ` + (wrong.join("; ") || "nothing wrong");
</script>"#;

fn result(document: &str) -> &str {
    let (_, rest) = document
        .split_once("<pre id=\"result\">")
        .expect("the script did not run");
    rest.split_once("</pre>").map_or(rest, |(text, _)| text)
}

/// Returns the directory of pictures for people to inspect.
fn pictures() -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pictures");
    std::fs::create_dir_all(&directory).expect("a directory");
    directory
}

#[test]
#[ignore = "needs chromium: cargo xtask test --all"]
fn texts_do_not_overlap() {
    let browser = Browser::find();
    let mut random = Random(3);
    let mut snapshots = vec![
        blog().snapshot(),
        snapshot_builder::cluster(3, 110, true).snapshot(),
    ];
    snapshots.extend((0..6).map(|_| snapshot_builder::any(&mut random)));
    for snapshot in snapshots {
        let picture = svg::draw(&Map::new(&snapshot).with_idle(true));
        let document = browser.document(&format!("<!doctype html><body>{picture}{LOOK}"));
        let report = result(&document);
        assert!(report.ends_with("nothing wrong"), "{report}");
        assert!(!report.starts_with("0 "), "{report}");
    }
}

/// The pictures are not blank: bright areas in one are dark in the other, and neither has a single
/// colour.
#[test]
#[ignore = "needs chromium: cargo xtask test --all"]
fn pictures_in_light_and_dark() {
    let browser = Browser::find();
    let many = snapshot_builder::cluster(3, 110, true).snapshot();
    for (name, snapshot) in [("blog", blog().snapshot()), ("many", many)] {
        let map = Map::new(&snapshot);
        for (form, drawn) in [("svg", svg::draw(&map)), ("html", svg::page(&map))] {
            let mut sizes = Vec::new();
            for dark in [false, true] {
                let theme = if dark { "dark" } else { "light" };
                let path = pictures().join(format!("{name}-{form}-{theme}.png"));
                browser.picture(&drawn, &format!("page.{form}"), (1472, 900), dark, &path);
                sizes.push(std::fs::read(&path).expect("a picture"));
            }
            // An empty page is a few hundred bytes of PNG.
            assert!(sizes.iter().all(|picture| picture.len() > 20_000));
            assert_ne!(sizes[0], sizes[1], "{name}: dark is light");
        }
    }
}

#[test]
#[ignore = "needs chromium: cargo xtask test --all"]
fn page_runs_no_script_and_keeps_hostile_names_as_text() {
    let browser = Browser::find();
    let image = "<img src=x onerror=\"document.title='run'\"><script>document.title='run'</script>";
    let names = NAMES.map(|(_, name)| name).into_iter().chain([image]);
    for name in names {
        let snapshot = cluster(name);
        let document = browser.document(&svg::page(&Map::new(&snapshot)));
        assert!(document.contains("<title>netviz: "), "{document}");
        assert!(!document.contains("<title>run"), "{document}");
        assert!(!document.contains("<img") && !document.contains("<script"));
        assert!(document.contains("&lt;img") || name != image);
    }
}

/// Draws with Mermaid, in the version that `cargo xtask test --all` installs.
fn mermaid(browser: &Browser, chart: &str) -> String {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/mermaid/mermaid.min.js");
    let library = library
        .canonicalize()
        .expect("no mermaid: cargo xtask test --all installs it");
    let chart = serde_json::to_string(chart)
        .expect("JSON")
        .replace('<', "\\u003c");
    let page = format!(
        r#"<!doctype html><body><pre id="result"></pre><script src="file://{}"></script><script>
mermaid.initialize({{ startOnLoad: false, securityLevel: "strict" }});
const report = text => document.getElementById("result").textContent = text;
mermaid.render("chart", {chart}).then(({{ svg }}) => {{
  const drawn = new DOMParser().parseFromString(svg, "text/html");
  const count = what => drawn.querySelectorAll(what).length;
  report(`${{count(".node")}} boxes, ${{count(".cluster")}} buildings, ${{count("path.flowchart-link")}} lines: ` + [...drawn.querySelectorAll(".nodeLabel, .cluster-label")].map(label => label.textContent).join(" | "));
}}, error => report("refused: " + error));
</script>"#,
        library.display()
    );
    result(&browser.document(&page)).to_owned()
}

#[test]
#[ignore = "needs chromium and mermaid: cargo xtask test --all"]
fn mermaid_draws_every_door() {
    let browser = Browser::find();
    let drawn = |snapshot: &Snapshot| {
        let chart = graph::mermaid(&Map::new(snapshot).with_idle(true));
        (mermaid(&browser, &chart), chart)
    };
    let snapshot = blog().snapshot();
    let (report, _) = drawn(&snapshot);
    // Every door, the pods with host network, and the network between the nodes.
    let boxes = snapshot.doors.len() + 2;
    let lines = snapshot.pairs.len() + 2;
    let wanted = format!("{boxes} boxes, 2 buildings, {lines} lines: ");
    assert!(report.starts_with(&wanted), "{wanted}: {report}");
    for text in [
        "busybox-c8bbbbb84-fmhwc",
        "lxc174c023046ff 11",
        "e\u{fffd}[31mth0 16",
        "cilium_host 3",
    ] {
        assert!(report.contains(text), "{text}: {report}");
    }
    // The default maximum of pods per node.
    let many = snapshot_builder::cluster(3, 110, true).snapshot();
    let (report, chart) = drawn(&many);
    let wanted = format!("{} boxes, 3 buildings, ", many.doors.len() + 1);
    assert!(report.starts_with(&wanted), "{wanted}: {report}");
    assert!(!chart.contains("more pods"));
    let (report, chart) = drawn(&snapshot_builder::cluster(3, 250, true).snapshot());
    assert!(report.contains(" 3 buildings"), "{report}");
    // Too many for Mermaid; the chart reports what it omits.
    assert!(chart.contains("more pods, not busier than these"));
    assert!(
        report.contains("more pods, not busier than these"),
        "{report}"
    );
}
