//! Prometheus' own text format, for scrapers that do not ask for OpenMetrics.

/// Converts OpenMetrics to the text format 0.0.4: there, the name of a counter's family ends in
/// `_total` like its series, and neither `# UNIT` nor `# EOF` exists.
#[must_use]
pub fn from_openmetrics(metrics: &str) -> String {
    let counters: Vec<_> = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut written = String::with_capacity(metrics.len());
    for line in metrics.lines() {
        if line.starts_with("# UNIT ") || line == "# EOF" {
            continue;
        }
        let described = ["# HELP ", "# TYPE "].iter().find_map(|prefix| {
            let (name, rest) = line.strip_prefix(prefix)?.split_once(' ')?;
            let is_counter = counters.contains(&name);
            is_counter.then(|| format!("{prefix}{name}_total {rest}"))
        });
        written.push_str(described.as_deref().unwrap_or(line));
        written.push('\n');
    }
    written
}
