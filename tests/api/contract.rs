//! Holds answers against the OpenAPI document: is the status declared, does the body fit its schema?

use serde_json::{Map, Value};

/// Checks one answer; says where it departs from the document.
pub(crate) fn check(
    document: &Value,
    method: &str,
    template: &str,
    status: u16,
    kind: &str,
    body: &str,
) -> Result<(), String> {
    let operation = &document["paths"][template][method];
    let declared = &operation["responses"][status.to_string()];
    let Some(declared) = declared.as_object() else {
        // Every operation may refuse as the text of the document says; the shape is one.
        return match status {
            401 | 403 | 400 | 404 | 405 | 409 | 413 | 415 | 421 | 422 | 429 | 503 => Ok(()),
            _ => Err(format!("{method} {template}: {status} is not declared")),
        };
    };
    let Some(content) = declared.get("content").and_then(Value::as_object) else {
        return match body {
            "" => Ok(()),
            _ => Err(format!("{method} {template}: {status} is declared without a body: {body}")),
        };
    };
    let kind = kind.split(';').next().unwrap_or_default();
    let is_problem = kind == "application/problem+json";
    let declared_kind = if is_problem { "application/json" } else { kind };
    let Some(media) = content.get(declared_kind) else {
        return Err(format!("{method} {template}: {status} is not declared as {kind}"));
    };
    if declared_kind != "application/json" {
        return Ok(());
    }
    let value = serde_json::from_str(body).map_err(|error| error.to_string())?;
    fits(document, &media["schema"], &value, &format!("{method} {template} {status}"))
}

fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => {
            let pointer = reference.strip_prefix('#').expect("a reference into the document");
            resolve(document, document.pointer(pointer).expect("what is referred to exists"))
        }
        None => schema,
    }
}

/// Whether `value` is what `schema` says, and nothing more.
pub(crate) fn fits(
    document: &Value,
    schema: &Value,
    value: &Value,
    at: &str,
) -> Result<(), String> {
    let schema = resolve(document, schema);
    if let Some(choices) = schema["oneOf"].as_array() {
        let faults: Vec<_> =
            choices.iter().filter_map(|choice| fits(document, choice, value, at).err()).collect();
        return match faults.len() < choices.len() {
            true => Ok(()),
            false => Err(format!("{at}: fits no choice: {}", faults.join("; "))),
        };
    }
    if schema["allOf"].is_array() {
        return object(document, &merged(document, schema), value, at);
    }
    if let Some(words) = schema["enum"].as_array()
        && !words.contains(value)
    {
        return Err(format!("{at}: {value} is none of {words:?}"));
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => return Ok(()),
    };
    let is = match value {
        Value::Null => types.contains(&"null"),
        Value::Bool(_) => types.contains(&"boolean"),
        Value::Number(n) => types.contains(&"number") || types.contains(&"integer") && !n.is_f64(),
        Value::String(_) => types.contains(&"string"),
        Value::Array(_) => types.contains(&"array"),
        Value::Object(_) => types.contains(&"object"),
    };
    if !is {
        return Err(format!("{at}: {value} is no {types:?}"));
    }
    match value {
        Value::Array(items) => array(document, schema, items, at),
        Value::Object(_) => object(document, schema, value, at),
        _ => Ok(()),
    }
}

fn array(document: &Value, schema: &Value, items: &[Value], at: &str) -> Result<(), String> {
    for (n, item) in items.iter().enumerate() {
        let of = match schema["prefixItems"].as_array() {
            Some(tuple) => tuple.get(n).ok_or(format!("{at}[{n}]: the tuple is shorter"))?,
            None => &schema["items"],
        };
        fits(document, of, item, &format!("{at}[{n}]"))?;
    }
    Ok(())
}

fn object(document: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let value = value.as_object().ok_or(format!("{at}: no object"))?;
    for key in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !value.contains_key(key) {
            return Err(format!("{at}: {key} is missing"));
        }
    }
    let Some(properties) = schema["properties"].as_object() else { return Ok(()) };
    for (key, part) in value {
        let at = format!("{at}.{key}");
        let of = properties.get(key).or_else(|| schema.get("additionalProperties"));
        fits(document, of.ok_or(format!("{at}: not in the document"))?, part, &at)?;
    }
    Ok(())
}

/// The parts of an `allOf` as one object.
fn merged(document: &Value, schema: &Value) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for part in schema["allOf"].as_array().into_iter().flatten() {
        let part = resolve(document, part);
        properties.extend(part["properties"].as_object().cloned().unwrap_or_default());
        required.extend(part["required"].as_array().cloned().unwrap_or_default());
    }
    serde_json::json!({ "properties": properties, "required": required })
}
