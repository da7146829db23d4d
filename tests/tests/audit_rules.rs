//! Audit rules and views on plain data: no kernel, no clock.

use std::collections::BTreeSet;

use clap::CommandFactory as _;
use netviz::{
    audit::{Attached, Audit, Owner, RULES, Severity, Way, judge},
    cli::Cli,
    model::{
        Direction,
        Direction::{Egress, Ingress},
        Reason, Role, Side,
    },
    views::{
        audit::{
            self, sarif,
            text::{Style, draw},
        },
        json as forms,
        text::visible_width,
    },
};
use netviz_tests::{
    builders::{
        chains::{ChainBuilder, filter, held, hook, tcx},
        hostile::{NAMES, check, data},
        random::Random,
    },
    cli::schema::complaints,
};
use serde_json::{Value, json};

fn two_nodes() -> ChainBuilder {
    let mut builder = ChainBuilder::default();
    builder.node(1);
    builder.node(2);
    builder
}

/// Returns rule, node, interface and hook of each finding.
fn found(builder: &ChainBuilder) -> Vec<(String, Severity, String)> {
    let findings = judge(&builder.doors);
    let place = |it: &netviz::audit::Finding| {
        let sign = it.direction.map_or("", Direction::sign);
        format!("{} {}{sign}", it.node, it.interface)
    };
    findings
        .iter()
        .map(|it| (it.rule.clone(), it.severity, place(it)))
        .collect()
}

#[track_caller]
fn only(builder: &ChainBuilder, rule: &str, severity: Severity, place: &str) {
    let expected = [(rule.to_owned(), severity, place.to_owned())];
    assert_eq!(found(builder), expected);
}

#[test]
fn correct_cluster_has_no_findings() {
    assert_eq!(found(&two_nodes()), []);
    // One node uses endpoint routes for all endpoints, the other for none.
    let mut builder = two_nodes();
    for device in ["lxcaaaa", "lxcbbbb", "lxc_health"] {
        builder
            .hook(1, device, Egress)
            .programs
            .push(tcx(50, "cil_to_container"));
    }
    assert_eq!(found(&builder), []);
    // Also with clsact.
    for door in &mut builder.doors {
        for direction in [Ingress, Egress] {
            for it in &mut hook(door, direction).programs {
                *it = filter(it.program_id.unwrap(), it.name.raw(), 1, 1);
            }
        }
    }
    assert_eq!(found(&builder), []);
    // netviz before all others.
    for door in &mut builder.doors {
        let programs = &mut hook(door, Ingress).programs;
        programs.insert(0, held(tcx(70, "netviz_ingress"), 12, "netviz"));
    }
    assert_eq!(found(&builder), []);
}

#[test]
fn program_order_at_a_hook() {
    let place = "worker1 lxcaaaa▼";
    let with = |change: &dyn Fn(&mut Vec<Attached>)| {
        let mut builder = two_nodes();
        change(&mut builder.hook(1, "lxcaaaa", Ingress).programs);
        builder
    };
    let warning = Severity::Warning;
    let before = with(&|it| it.insert(0, tcx(9, "theirs")));
    only(&before, "foreign-before-cilium", warning, place);
    let behind = with(&|it| it.push(tcx(9, "theirs")));
    only(&behind, "dead-program", warning, place);
    let filtered = with(&|it| it.push(filter(9, "theirs", 1, 5)));
    only(&filtered, "dead-filter", warning, place);
    let both = with(&|it| it.push(filter(9, "cil_from_container", 1, 1)));
    only(&both, "cilium-in-both", warning, place);
    let twice = with(&|it| it.push(tcx(42, "cil_from_container")));
    only(&twice, "duplicate-program", warning, place);
    let left = with(&|it| {
        let mut filter = filter(9, "netviz_ingress", 1, 0x6e76_0007);
        filter.left_over = true;
        it.push(filter);
    });
    only(&left, "netviz-left-over", warning, place);
    let displaced = with(&|it| it.push(held(tcx(9, "netviz_ingress"), 7, "netviz")));
    only(&displaced, "dead-program", warning, place);
    let two = with(&|it| {
        for id in [8, 9] {
            let mut netviz = tcx(id, "netviz_ingress");
            netviz.tag = Some("1".into());
            it.insert(0, netviz);
        }
    });
    only(&two, "duplicate-program", Severity::Info, place);
    let mut changed = two_nodes();
    changed.hook(1, "lxcaaaa", Ingress).changed = true;
    only(&changed, "changed-while-looking", Severity::Info, place);
}

/// Of all other findings about it, none is also about its presence.
#[test]
fn foreign_programs_are_never_as_expected() {
    let info = Severity::Info;
    for way in [Way::Tcx, Way::Clsact, Way::Xdp] {
        let program = || Attached {
            way,
            ..tcx(9, "theirs")
        };
        // In the pod, where Cilium has no program.
        let mut builder = two_nodes();
        hook(&mut builder.doors[0], Ingress)
            .programs
            .push(program());
        only(&builder, "foreign-program", info, "worker1 eth0▼");
    }
    let mut builder = two_nodes();
    builder
        .hook(1, "lxcaaaa", Egress)
        .programs
        .push(tcx(9, "theirs"));
    only(&builder, "foreign-program", info, "worker1 lxcaaaa▲");
    // XDP runs before Cilium, and Cilium's own XDP program ends no chain.
    let xdp = |name: &str| Attached {
        way: Way::Xdp,
        ..tcx(9, name)
    };
    let mut builder = two_nodes();
    builder
        .hook(1, "eth0", Ingress)
        .programs
        .insert(0, xdp("theirs"));
    let warning = Severity::Warning;
    only(&builder, "foreign-before-cilium", warning, "worker1 eth0▼");
    builder.hook(1, "eth0", Ingress).programs[0] = xdp("cil_xdp_entry");
    assert_eq!(found(&builder), []);
    builder.hook(1, "eth0", Ingress).programs.truncate(1);
    only(&builder, "cilium-missing", warning, "worker1 eth0▼");
}

#[test]
fn same_program_is_recognized_by_its_instructions() {
    let mut builder = two_nodes();
    let programs = &mut hook(&mut builder.doors[0], Ingress).programs;
    programs.push(tcx(8, "sampler"));
    programs.push(tcx(9, "sampler"));
    // One name and other instructions are two programs.
    let all = found(&builder);
    assert!(all.iter().all(|it| it.0 == "foreign-program"), "{all:?}");
    let programs = &mut hook(&mut builder.doors[0], Ingress).programs;
    programs[1].tag = programs[0].tag.clone();
    only(
        &builder,
        "duplicate-program",
        Severity::Warning,
        "worker1 eth0▼",
    );
    // One program in two filters.
    let programs = &mut hook(&mut builder.doors[0], Ingress).programs;
    *programs = vec![filter(8, "sampler", 1, 2), filter(8, "sampler", 2, 2)];
    only(
        &builder,
        "duplicate-program",
        Severity::Warning,
        "worker1 eth0▼",
    );
}

#[test]
fn missing_programs_are_inferred_from_other_doors() {
    let (error, warning, info) = (Severity::Error, Severity::Warning, Severity::Info);
    for (device, direction, place) in [
        ("lxcaaaa", Ingress, "worker1 lxcaaaa▼"),
        ("lxc_health", Ingress, "worker1 lxc_health▼"),
        ("cilium_net", Ingress, "worker1 cilium_net▼"),
        ("cilium_host", Egress, "worker1 cilium_host▲"),
        ("cilium_vxlan", Egress, "worker1 cilium_vxlan▲"),
    ] {
        let mut builder = two_nodes();
        builder.hook(1, device, direction).programs.clear();
        only(&builder, "cilium-missing", error, place);
        // A foreign program does not replace it, and netviz does not affect it.
        builder
            .hook(1, device, direction)
            .programs
            .push(tcx(9, "theirs"));
        only(&builder, "cilium-missing", error, place);
        builder.hook(1, device, direction).programs = vec![tcx(9, "netviz_ingress")];
        only(&builder, "cilium-missing", error, place);
    }
    let mut uplink = two_nodes();
    uplink.hook(1, "eth0", Ingress).programs.clear();
    only(&uplink, "cilium-missing", warning, "worker1 eth0▼");
    uplink.hook(2, "eth0", Ingress).programs.clear();
    assert_eq!(found(&uplink), [], "nowhere is not missing");

    let mut second = two_nodes();
    second.door(1, Side::Node, Role::Uplink, "eth1");
    only(&second, "uplink-without-cilium", info, "worker1 eth1▼");
    second.doors.last_mut().unwrap().addresses.clear();
    assert_eq!(found(&second), [], "a part of a bond");

    let mut mixed = two_nodes();
    mixed
        .hook(1, "lxcbbbb", Egress)
        .programs
        .push(tcx(50, "cil_to_container"));
    only(&mixed, "endpoint-routes-mixed", info, "worker1 lxcbbbb▲");

    let mut none = two_nodes();
    for door in none.doors.iter_mut().filter(|door| door.node == "worker1") {
        *door.chains.as_mut().unwrap() = netviz::audit::Chains::default();
    }
    only(&none, "no-cilium", error, "worker1 cilium_host▼");
    for door in &mut none.doors {
        door.cilium = false;
    }
    assert_eq!(found(&none), [], "no node of Cilium's");
}

#[test]
fn positions_kinds_and_invisible_programs() {
    let mut taken = two_nodes();
    taken
        .hook(1, "eth0", Egress)
        .programs
        .push(filter(9, "theirs", 1, 1));
    only(
        &taken,
        "cilium-place-taken",
        Severity::Warning,
        "worker1 eth0▲",
    );
    taken.hook(1, "eth0", Egress).programs[0] = filter(9, "theirs", 1, 2);
    assert_eq!(found(&taken), []);

    let mut netkit = two_nodes();
    for door in netkit
        .doors
        .iter_mut()
        .filter(|door| door.label().raw().starts_with("lxc"))
    {
        door.kind = Some("netkit".into());
        for it in &mut hook(door, Ingress).programs {
            it.way = Way::Netkit;
        }
    }
    let all = found(&netkit);
    let expected = ["worker1 lxc_health", "worker2 lxc_health"];
    let expected = expected.map(|place| ("netkit".to_owned(), Severity::Info, place.to_owned()));
    assert_eq!(all, expected);
    // Packets that the device's own program passes on reach tcx: no program there is unreachable.
    netkit
        .hook(1, "lxcaaaa", Ingress)
        .programs
        .push(tcx(9, "theirs"));
    let rules: Vec<_> = found(&netkit).into_iter().map(|it| it.0).collect();
    assert_eq!(rules, ["netkit", "foreign-program", "netkit"]);

    let mut hidden = two_nodes();
    hidden.doors[0].chains = None;
    hidden.doors[0].problem = Some(Reason::Unreachable { nsid: 1 });
    only(&hidden, "not-seen", Severity::Info, "worker1 eth0");
    let audit = Audit::new("now".into(), hidden.doors.clone(), judge(&hidden.doors));
    assert_eq!((audit.summary.doors, audit.summary.not_seen), (17, 1));
}

/// Returns random doors with random programs.
fn anything(random: &mut Random) -> ChainBuilder {
    const ROLES: [Role; 9] = [
        Role::Pod,
        Role::Health,
        Role::CiliumHost,
        Role::Overlay,
        Role::Encryption,
        Role::Uplink,
        Role::Veth,
        Role::Bridge,
        Role::Other,
    ];
    const KNOWN: [&str; 5] = [
        "cil_from_container",
        "cil_to_host",
        "netviz_ingress",
        "theirs",
        "日本",
    ];
    let names = [&KNOWN[..], &NAMES.map(|(_, name)| name)].concat();
    let pick = |random: &mut Random, number: usize| random.below(number as u64) as usize;
    let mut builder = ChainBuilder::default();
    for _ in 0..random.below(12) {
        let side = [Side::Node, Side::Node, Side::Pod, Side::Host][pick(random, 4)];
        let role = ROLES[pick(random, ROLES.len())];
        let device = ["eth0", "lxc1", "lxc2", "cilium_net", "cilium_host"][pick(random, 5)];
        let node = random.below(3);
        let door = builder.door(node, side, role, device);
        door.cilium = !random.once_in(5);
        door.pod = random.once_in(3).then(|| random.text().into());
        if random.once_in(4) {
            door.interface = random.once_in(2).then(|| random.text().into());
        }
        if random.once_in(6) {
            door.kind = Some("netkit".into());
        }
        for direction in [Ingress, Egress] {
            let there = hook(door, direction);
            there.changed = random.once_in(9);
            there.revision = (!random.once_in(4)).then_some(3);
            for _ in 0..random.below(5) {
                let (id, name) = (random.below(4) as u32, names[pick(random, names.len())]);
                let mut it = match random.below(3) {
                    0 => tcx(id, name),
                    1 => filter(id, name, random.below(3) as u16, random.below(3) as u32),
                    _ => held(tcx(id, name), 7, &random.text()),
                };
                it.left_over = random.once_in(8);
                it.program_id = it.program_id.filter(|_| !random.once_in(6));
                it.owner = [Owner::Cilium, Owner::Other, it.owner][pick(random, 3)];
                there.programs.push(it);
            }
        }
        if random.once_in(8) {
            door.chains = None;
        }
    }
    builder
}

#[test]
fn random_chains_are_judged_in_any_order() {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let schema = audit::schema();
    for round in 0..300 {
        let mut doors = anything(&mut random).doors;
        let findings = judge(&doors);
        let ids: BTreeSet<_> = doors.iter().map(|door| door.id).collect();
        assert!(
            findings.iter().all(|it| ids.contains(&it.door)),
            "round {round}"
        );
        assert!(findings.is_sorted_by_key(|it| std::cmp::Reverse(it.severity)));
        for place in (1..doors.len()).rev() {
            doors.swap(place, random.below(place as u64 + 1) as usize);
        }
        assert_eq!(judge(&doors), findings, "round {round}");

        let audit = Audit::new("2026-01-02T03:04:05Z".into(), doors, findings);
        for full in [false, true] {
            let width = 20 + random.below(150) as usize;
            let style = Style {
                width: Some(width),
                full,
                ..Style::default()
            };
            for line in draw(&audit, style).lines() {
                check::plain("audit", line);
                assert!(visible_width(line) <= width, "{width}: {line:?}");
            }
        }
        let value = serde_json::to_value(&audit).unwrap();
        assert_eq!(complaints(&schema, &value), [""; 0]);
        check_sarif(&sarif::log(&audit));
    }
}

#[test]
fn rule_names_are_unique_and_well_formed() {
    let names: BTreeSet<_> = RULES.iter().map(|rule| rule.id).collect();
    assert_eq!(names.len(), RULES.len());
    let kebab = |name: &&str| name.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    assert!(names.iter().all(kebab), "{names:?}");
    assert!(RULES.is_sorted_by_key(|rule| std::cmp::Reverse(rule.severity)));
}

/// Returns an audit with every kind of finding, on the first of two nodes.
fn sample_audit() -> Audit {
    let mut builder = two_nodes();
    let theirs = || held(tcx(812, "filter_x"), 4_802, "fieldagent");
    builder
        .hook(1, "lxcbbbb", Ingress)
        .programs
        .insert(0, theirs());
    let netviz = || held(tcx(900, "netviz_ingress"), 77, "netviz");
    builder
        .hook(1, "lxcbbbb", Ingress)
        .programs
        .insert(0, netviz());
    builder.hook(1, "cilium_vxlan", Ingress).programs.clear();
    builder.hook(1, "eth0", Ingress).programs[0].pinned_at =
        vec!["/sys/fs/bpf/cilium/devices/eth0/links/cil_from_netdev".into()];
    let old = filter(33, "retina_\u{1b}[31m", 1, 7);
    builder.hook(1, "eth0", Ingress).programs.push(old);
    let gone = builder.door(2, Side::Pod, Role::Pod, "");
    gone.interface = None;
    gone.chains = None;
    gone.problem = Some(Reason::Unreachable { nsid: 1 });
    let findings = judge(&builder.doors);
    Audit::new("2026-01-02T03:04:05Z".into(), builder.doors, findings)
}

#[test]
fn views() {
    let audit = sample_audit();
    insta::assert_snapshot!("audit_text", draw(&audit, Style::default()));
    for width in [80, 120] {
        let style = Style {
            width: Some(width),
            ..Style::default()
        };
        insta::assert_snapshot!(format!("audit_text_{width}"), draw(&audit, style));
    }
    let full = Style {
        full: true,
        ..Style::default()
    };
    insta::assert_snapshot!("audit_text_full", draw(&audit, full));
    let mut json = Vec::new();
    forms::write(&audit, &mut json).unwrap();
    insta::assert_snapshot!("audit_json", String::from_utf8(json).unwrap());
    let mut sarif = Vec::new();
    forms::write(&sarif::log(&audit), &mut sarif).unwrap();
    let sarif = String::from_utf8(sarif).unwrap();
    let version = concat!("\"version\": \"", env!("CARGO_PKG_VERSION"), "\"");
    insta::assert_snapshot!(
        "audit_sarif",
        sarif.replace(version, "\"version\": \"VERSION\"")
    );
}

#[test]
fn text_is_the_same_without_colours() {
    let audit = sample_audit();
    let plain = draw(&audit, Style::default());
    let coloured = draw(
        &audit,
        Style {
            colour: true,
            ..Style::default()
        },
    );
    assert_ne!(plain, coloured);
    let without = ["\u{1b}[31m", "\u{1b}[33m", "\u{1b}[0m"]
        .iter()
        .fold(coloured, |text, sequence| text.replace(sequence, ""));
    assert_eq!(without, plain);
}

#[test]
fn help() {
    let mut command = Cli::command().term_width(100);
    command.build();
    let help = ["audit", "schema"].map(|name| {
        let command = command.find_subcommand_mut(name).unwrap();
        command.render_long_help().to_string()
    });
    insta::assert_snapshot!("audit_help", help.join("\n======\n"));
}

/// Schema of what SARIF 2.1.0 requires of the objects in use, without unknown properties.
fn sarif_schema() -> Value {
    let text =
        json!({"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}});
    let level = json!({"enum": ["none", "note", "warning", "error"]});
    let location = json!({"type": "object", "properties": {"logicalLocations": {"type": "array", "items":
        {"type": "object", "properties": {"name": {"type": "string"}, "fullyQualifiedName": {"type": "string"},
            "kind": {"type": "string"}}}}}});
    let rule = json!({"type": "object", "required": ["id"], "properties": {"id": {"type": "string"},
        "shortDescription": text, "helpUri": {"type": "string"},
        "defaultConfiguration": {"type": "object", "properties": {"level": level}}}});
    let result = json!({"type": "object", "required": ["message"], "properties": {
        "ruleId": {"type": "string"}, "ruleIndex": {"type": "integer", "minimum": -1}, "level": level,
        "message": text, "locations": {"type": "array", "items": location},
        "partialFingerprints": {"type": "object"}, "properties": {"type": "object"}}});
    let driver = json!({"type": "object", "required": ["name"], "properties": {"name": {"type": "string"},
        "version": {"type": "string"}, "informationUri": {"type": "string"},
        "rules": {"type": "array", "items": rule}}});
    let invocation = json!({"type": "object", "required": ["executionSuccessful"], "properties": {
        "executionSuccessful": {"type": "boolean"}, "endTimeUtc": {"type": "string"}}});
    let run = json!({"type": "object", "required": ["tool"], "properties": {
        "tool": {"type": "object", "required": ["driver"], "properties": {"driver": driver}},
        "invocations": {"type": "array", "items": invocation},
        "results": {"type": "array", "items": result}}});
    json!({"type": "object", "required": ["version", "runs"], "properties": {
        "$schema": {"type": "string"}, "version": {"const": "2.1.0"},
        "runs": {"type": "array", "items": run}}})
}

fn check_sarif(log: &Value) {
    assert_eq!(complaints(&sarif_schema(), log), [""; 0]);
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    for result in run["results"].as_array().unwrap() {
        let index = usize::try_from(result["ruleIndex"].as_i64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert_ne!(result["message"]["text"], "");
    }
}

#[test]
fn json_is_read_back_as_it_was_written() {
    let audit = data::audit("a\u{1b}[2Jb");
    let mut text = Vec::new();
    forms::write(&audit, &mut text).unwrap();
    assert_eq!(serde_json::from_slice::<Audit>(&text).unwrap(), audit);
}

const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/audit.schema.json");

#[test]
fn documented_schema_matches() {
    let schema = serde_json::to_string_pretty(&audit::schema()).unwrap() + "\n";
    let there = std::fs::read_to_string(SCHEMA).unwrap_or_default();
    assert!(
        schema == there,
        "docs/audit.schema.json is not what `netviz schema audit` prints. If the change is wanted: cargo run -p netviz -- schema audit > docs/audit.schema.json; what was there before must stay valid, or netviz.audit gets the next number"
    );
}
