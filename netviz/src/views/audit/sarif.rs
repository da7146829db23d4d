//! SARIF 2.1.0, the form in which code scanners give their findings to a CI.

use serde_json::{Value, json};

use crate::{
    audit::{Audit, Finding, RULES, Rule, Severity},
    model::Untrusted,
};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// The whole log: one run, all rules, and a result for each finding.
#[must_use]
pub fn log(audit: &Audit) -> Value {
    let rules: Vec<_> = RULES.iter().map(rule).collect();
    let results: Vec<_> = audit.findings.iter().map(result).collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "netviz",
                "version": env!("CARGO_PKG_VERSION"),
                "informationUri": env!("CARGO_PKG_REPOSITORY"),
                "rules": rules,
            }},
            "invocations": [{
                "executionSuccessful": true,
                "endTimeUtc": audit.taken_at,
            }],
            "results": results,
        }],
    })
}

fn rule(rule: &Rule) -> Value {
    let mut described = json!({
        "id": rule.id,
        "shortDescription": { "text": rule.summary },
        "defaultConfiguration": { "level": level(rule.severity) },
    });
    if let Some(uri) = rule.explained_by.first().and_then(|it| uri(it)) {
        described["helpUri"] = uri.into();
    }
    described
}

fn result(finding: &Finding) -> Value {
    let place = place(finding);
    let index = RULES.iter().position(|rule| rule.id == finding.rule);
    json!({
        "ruleId": finding.rule,
        "ruleIndex": index.map_or(-1, |index| i64::try_from(index).unwrap_or(-1)),
        "level": level(finding.severity),
        "message": { "text": format!("{}. {}.", finding.message.trim_end_matches('.'), finding.remedy) },
        "locations": [{ "logicalLocations": [{
            "name": finding.interface,
            "fullyQualifiedName": place,
            "kind": "resource",
        }]}],
        // What is the same the next time: ids of programs are not.
        "partialFingerprints": { "netviz/v1": format!("{}:{place}", finding.rule) },
        "properties": {
            "remedy": finding.remedy,
            "explainedBy": finding.explained_by,
            "programIds": finding.program_ids,
            "ifindex": finding.ifindex,
        },
    })
}

/// `node/namespace/pod/interface/direction`, or what there is of it.
fn place(finding: &Finding) -> String {
    let direction = finding.direction.map(|direction| direction.to_string());
    let names = [
        Some(&finding.node),
        finding.namespace.as_ref(),
        finding.pod.as_ref(),
        Some(&finding.interface),
    ];
    let names = names.into_iter().flatten().map(Untrusted::raw);
    let parts: Vec<_> = names.chain(direction.as_deref()).collect();
    parts.join("/")
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

/// The page of a thread, `owner/repository#number`.
fn uri(thread: &str) -> Option<String> {
    let (repository, number) = thread.split_once('#')?;
    Some(format!("https://github.com/{repository}/issues/{number}"))
}
