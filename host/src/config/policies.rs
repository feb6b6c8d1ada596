//! What may be written of policies: which ones a vhost asks, in their order.

use jsonc_parser::ast::Value;
use jsonc_parser::common::{Range, Ranged};

use super::PolicyConfig;
use super::reader::{Located, Reader};

const EXAMPLE: &str = "ip-filter";
const KEYS: &[&str] = &["policy", "options"];

/// The part `policies`. What names none is left out, and noted.
pub(super) fn policies(value: &Value<'_>, reader: &Reader<'_>) -> Vec<PolicyConfig> {
    let Some(list) = value.as_array() else {
        let example = format!("[\"{EXAMPLE}\"]");
        reader.refuse_type(value, "policies", "a list of policies", &example);
        return Vec::new();
    };
    let mut policies: Vec<PolicyConfig> = Vec::new();
    for element in &list.elements {
        let found = match element {
            Value::Object(_) => object(element, reader),
            _ => reader
                .string(element, "policies", EXAMPLE)
                .map(|name| (name, nothing())),
        };
        let Some((name, options)) = found else {
            continue;
        };
        if policies.iter().any(|other| other.name == name.value) {
            refuse_twice(&name.value, name.range, reader);
            continue;
        }
        policies.push(PolicyConfig {
            name: name.value,
            options,
        });
    }
    policies
}

/// With options.
fn object(value: &Value<'_>, reader: &Reader<'_>) -> Option<(Located<String>, serde_json::Value)> {
    let (mut name, mut options) = (None, nothing());
    for (key, value) in reader.properties(value, "policies") {
        match key.value {
            "policy" => name = reader.string(value, "policy", EXAMPLE),
            "options" => options = reader.json(value),
            _ => reader.refuse_key(&key, KEYS),
        }
    }
    if name.is_none() {
        let mend = format!("write {{\"policy\": \"{EXAMPLE}\", \"options\": {{}}}}");
        reader.refuse(value.range(), "this names no `policy`", mend);
    }
    Some((name?, options))
}

fn nothing() -> serde_json::Value {
    serde_json::Value::Object(serde_json::Map::new())
}

/// An instance is found by its name.
fn refuse_twice(name: &str, range: Range, reader: &Reader<'_>) {
    let cause = format!("the policy `{name}` is listed twice");
    reader.refuse(range, cause, "leave one of them out");
}
