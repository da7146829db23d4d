//! Checks JSON with a JSON schema. Supports the keywords in netviz's schemas; an unknown keyword is
//! an error, so that nothing passes unchecked.

use serde_json::Value;

/// Returns all violations, each with its position in `value`.
#[must_use]
pub fn complaints(schema: &Value, value: &Value) -> Vec<String> {
    let mut complaints = Vec::new();
    check(schema, schema, value, "$", &mut complaints);
    complaints
}

fn check(root: &Value, schema: &Value, value: &Value, at: &str, wrong: &mut Vec<String>) {
    let Some(keywords) = schema.as_object() else {
        if schema != &Value::Bool(true) {
            wrong.push(format!("{at}: no value is allowed here"));
        }
        return;
    };
    for (keyword, wanted) in keywords {
        match (keyword.as_str(), wanted) {
            ("$schema" | "$defs" | "title" | "description" | "format", _) => {}
            // `properties` always refuses unknown names.
            ("additionalProperties", Value::Bool(false)) => {}
            ("$ref", Value::String(name)) => {
                let place = name.trim_start_matches('#');
                match root.pointer(place) {
                    Some(referred) => check(root, referred, value, at, wrong),
                    None => wrong.push(format!("{at}: the schema has no {name}")),
                }
            }
            ("type", wanted) => {
                let mut names = wanted.as_array().into_iter().flatten().chain([wanted]);
                if !names.any(|name| name.as_str().is_some_and(|name| is(name, value))) {
                    wrong.push(format!("{at}: {value} is not {wanted}"));
                }
            }
            ("properties", Value::Object(properties)) => {
                for (name, value) in value.as_object().into_iter().flatten() {
                    let at = format!("{at}.{name}");
                    match properties.get(name) {
                        Some(schema) => check(root, schema, value, &at, wrong),
                        None => wrong.push(format!("{at}: not in the schema")),
                    }
                }
            }
            ("required", Value::Array(names)) => {
                let missing = names
                    .iter()
                    .filter_map(Value::as_str)
                    .filter(|name| value.is_object() && value.get(name).is_none());
                wrong.extend(missing.map(|name| format!("{at}.{name}: missing")));
            }
            ("items", schema) => {
                for (place, value) in value.as_array().into_iter().flatten().enumerate() {
                    check(root, schema, value, &format!("{at}[{place}]"), wrong);
                }
            }
            ("minItems", limit) => length(value, limit, at, wrong, |length, limit| length >= limit),
            ("maxItems", limit) => length(value, limit, at, wrong, |length, limit| length <= limit),
            ("minimum", limit) => {
                if value.as_f64() < limit.as_f64() && value.is_number() {
                    wrong.push(format!("{at}: {value} is below {limit}"));
                }
            }
            ("maximum", limit) => {
                if value.as_f64() > limit.as_f64() && value.is_number() {
                    wrong.push(format!("{at}: {value} is above {limit}"));
                }
            }
            ("const", wanted) => {
                if value != wanted {
                    wrong.push(format!("{at}: {value} is not {wanted}"));
                }
            }
            ("enum", Value::Array(values)) => {
                if !values.contains(value) {
                    wrong.push(format!("{at}: {value} is no allowed value"));
                }
            }
            ("anyOf" | "oneOf", Value::Array(schemas)) => {
                let fits = schemas.iter().filter(|schema| {
                    let mut wrong = Vec::new();
                    check(root, schema, value, at, &mut wrong);
                    wrong.is_empty()
                });
                let fits = fits.count();
                if fits == 0 || keyword == "oneOf" && fits > 1 {
                    wrong.push(format!("{at}: {value} fits {fits} of {keyword}"));
                }
            }
            _ => wrong.push(format!("{at}: unknown keyword {keyword}")),
        }
    }
}

fn length(
    value: &Value,
    limit: &Value,
    at: &str,
    wrong: &mut Vec<String>,
    fits: fn(u64, u64) -> bool,
) {
    if let (Some(values), Some(limit)) = (value.as_array(), limit.as_u64())
        && !fits(values.len() as u64, limit)
    {
        wrong.push(format!("{at}: {} values, limit {limit}", values.len()));
    }
}

fn is(name: &str, value: &Value) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_keyword_can_refuse() {
        let refused = [
            (json!({"type": ["string", "null"]}), json!(1)),
            (json!({"type": "integer"}), json!(1.5)),
            (json!({"required": ["a"]}), json!({})),
            (json!({"properties": {}}), json!({"a": 1})),
            (json!({"items": {"type": "string"}}), json!([1])),
            (json!({"minItems": 2}), json!([1])),
            (json!({"maxItems": 1}), json!([1, 2])),
            (json!({"minimum": 0}), json!(-1)),
            (json!({"maximum": 9}), json!(10)),
            (json!({"const": "a"}), json!("b")),
            (json!({"enum": ["a"]}), json!("b")),
            (json!({"anyOf": [{"type": "null"}]}), json!(1)),
            (
                json!({"oneOf": [{"type": "integer"}, {"minimum": 0}]}),
                json!(1),
            ),
            (
                json!({"$ref": "#/$defs/a", "$defs": {"a": false}}),
                json!(1),
            ),
            (json!({"$ref": "#/$defs/b"}), json!(1)),
            (json!({"pattern": "a"}), json!("a")),
        ];
        for (schema, value) in refused {
            assert_eq!(complaints(&schema, &value).len(), 1, "{schema} {value}");
        }
        let schema = json!({"type": "object", "required": ["a"], "properties": {"a": {"items": {"$ref": "#/$defs/n"}}},
            "$defs": {"n": {"type": ["integer", "null"], "minimum": 0}}});
        assert_eq!(complaints(&schema, &json!({"a": [1, null]})), [""; 0]);
    }
}
