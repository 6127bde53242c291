//! `openapi.yaml`: its words, paths, parameters and examples.

use std::collections::{BTreeMap, BTreeSet};

use actix_web::ResponseError;
use jsonschema::Validator;
use serde_json::{Map, Value, json};
use tuman::http::error::{Code, Problem};
use tuman_privacy::refusal::{Note, Refusal};
use tuman_privacy::witness::Why;

use super::{OPENAPI, errors, report_validator, validator};
use crate::harness::{Answer, TestApp};

const ROUTES: &str = include_str!("../../../src/http/routes.rs");
const PROBLEM: &str = "application/problem+json";

/// The document.
pub struct OpenApi(pub(super) Value);

/// One method of one path.
pub(super) struct Operation<'a> {
    pub(super) path: &'a str,
    pub(super) method: String,
    pub(super) is_internal: bool,
    pub(super) value: &'a Value,
}

impl Operation<'_> {
    /// Its path with a release in place of the parameter.
    pub(super) fn url(&self) -> String {
        self.path.replace("{name}", "active_devices")
    }
}

impl OpenApi {
    pub fn read() -> OpenApi {
        OpenApi(serde_norway::from_str(OPENAPI).unwrap())
    }

    pub(super) fn operations(&self) -> Vec<Operation<'_>> {
        let paths = self.0["paths"].as_object().unwrap();
        let methods = ["get", "post", "put", "patch", "delete"];
        let all = paths.iter().flat_map(|(path, item)| {
            item.as_object().unwrap().iter().filter(|(key, _)| methods.contains(&key.as_str())).map(
                move |(key, value)| Operation {
                    path,
                    method: key.to_uppercase(),
                    is_internal: item.get("servers").is_some(),
                    value,
                },
            )
        });
        all.collect()
    }

    /// What a value stands for: itself, or what its `$ref` names.
    pub(super) fn resolved<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(reference) => {
                self.0.pointer(reference.trim_start_matches('#')).unwrap_or_else(|| panic!("{reference}"))
            }
            None => value,
        }
    }

    /// The validator of a schema of the document.
    pub(super) fn validator(&self, schema: &Value) -> Validator {
        let mut schema: Map<String, Value> = schema.as_object().unwrap().clone();
        schema.insert("components".into(), self.0["components"].clone());
        validator(&Value::Object(schema))
    }

    /// Holds an answer against what the document says of its status: headers, media type, schema.
    pub fn check(&self, method: &str, path: &str, answer: &Answer) {
        let place = format!("{method} {path} {}", answer.status);
        let operation = &self.0["paths"][path][method.to_lowercase()];
        let response = self.resolved(&operation["responses"][answer.status.to_string()]);
        assert!(response.is_object(), "{place} is not documented: {}", answer.text);
        for (name, header) in response["headers"].as_object().into_iter().flatten() {
            let Some(value) = answer.header(name) else {
                assert_ne!(self.resolved(header)["required"], true, "{place} has no {name}");
                continue;
            };
            let schema = &self.resolved(header)["schema"];
            let value = if schema["type"] == "integer" { json!(value.parse::<i64>().unwrap()) } else { json!(value) };
            assert_eq!(errors(&self.validator(schema), &value), "", "{place}: {name}");
        }
        let sent = answer.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default();
        let content = &response["content"][sent];
        assert!(content.is_object(), "{place} does not document {sent:?}");
        let body = if sent.ends_with("json") { answer.json() } else { json!(answer.text) };
        assert_eq!(errors(&self.validator(&content["schema"]), &body), "", "{place}: {body}");
    }

    fn enumerated(&self, pointer: &str) -> Vec<&str> {
        self.0.pointer(pointer).unwrap().as_array().unwrap().iter().filter_map(Value::as_str).collect()
    }
}

/// Every path of `routes.rs` with its methods.
pub fn routed() -> BTreeMap<String, BTreeSet<String>> {
    let declared = ROUTES.split("only(\"").skip(1).filter_map(|rest| {
        let mut texts = rest.split('"');
        let (path, methods) = (texts.next()?, texts.nth(1)?);
        Some((path.to_owned(), methods.split(", ").map(str::to_owned).collect()))
    });
    let declared: BTreeMap<_, _> = declared.collect();
    assert_eq!(declared.len(), ROUTES.matches(".service(").count(), "every service is declared by `only`");
    declared
}

async fn sent_by(code: Code) -> (Value, Vec<String>) {
    let response = Problem::from(code).error_response();
    let headers = response.headers().keys().map(|name| name.as_str().to_owned()).collect();
    let body = actix_web::body::to_bytes(response.into_body()).await.unwrap();
    (serde_json::from_slice(&body).unwrap(), headers)
}

#[test]
fn its_words_are_those_of_the_code() {
    let document = OpenApi::read();
    let schemas = "/components/schemas";
    assert_eq!(document.enumerated(&format!("{schemas}/Problem/properties/code/enum")), Code::ALL.map(Code::word));
    assert_eq!(document.enumerated(&format!("{schemas}/Refusal/enum")), Refusal::ALL.map(Refusal::word));
    assert_eq!(document.enumerated(&format!("{schemas}/Note/enum")), Note::ALL.map(Note::word));
    let reasons = format!("{schemas}/Preview/properties/fields/items/properties/reason/enum");
    assert_eq!(document.enumerated(&reasons), Why::words().collect::<Vec<_>>());
}

#[actix_web::test]
async fn its_problems_are_those_that_are_sent() {
    let document = OpenApi::read();
    let problem = document.validator(&json!({ "$ref": "#/components/schemas/Problem" }));
    let mut shown = BTreeSet::new();
    let operations = document.operations();
    let own = operations.iter().flat_map(|operation| {
        let responses = operation.value["responses"].as_object().unwrap().iter();
        responses.map(|(status, response)| (Some(status.as_str()), document.resolved(response)))
    });
    // No operation refers to the one of paths that are not listed.
    let shared = document.0["components"]["responses"].as_object().unwrap().values().map(|response| (None, response));
    for (status, response) in own.chain(shared) {
        let Some(examples) = response["content"][PROBLEM]["examples"].as_object() else { continue };
        for (word, example) in examples {
            let place = format!("{status:?} {word}");
            let code = Code::ALL.into_iter().find(|code| code.word() == word).unwrap_or_else(|| panic!("{place}"));
            let (mut sent, headers) = sent_by(code).await;
            let value = &example["value"];
            for more in ["field", "problems"] {
                if let Some(part) = value.get(more) {
                    sent[more] = part.clone();
                }
            }
            assert_eq!(value, &sent, "{place}");
            assert!(status.is_none_or(|status| status == code.status().as_str()), "{place}");
            assert_eq!(errors(&problem, value), "", "{place}");
            for name in ["Retry-After", "WWW-Authenticate"] {
                let says = response["headers"].get(name).is_some();
                assert_eq!(says, headers.contains(&name.to_lowercase()), "{place}: {name}");
            }
            shown.insert(word.as_str());
        }
    }
    assert_eq!(shown, Code::ALL.map(Code::word).into_iter().collect());
}

#[test]
fn its_examples_are_valid() {
    let document = OpenApi::read();
    for Operation { path, method, value, .. } in document.operations() {
        for (status, response) in value["responses"].as_object().unwrap() {
            let response = document.resolved(response);
            for content in response["content"].as_object().into_iter().flat_map(Map::values) {
                let schema = document.validator(&content["schema"]);
                for (name, example) in content["examples"].as_object().into_iter().flatten() {
                    let value = &document.resolved(example)["value"];
                    assert_eq!(errors(&schema, value), "", "{method} {path} {status} {name}");
                }
            }
        }
        let content = &value["requestBody"]["content"]["application/json"];
        // The report's schema is a file of its own.
        let schema = match path {
            "/v1/collect" | "/v1/collect/preview" => report_validator(),
            _ => document.validator(content.get("schema").unwrap_or(&json!({}))),
        };
        for (name, example) in content["examples"].as_object().into_iter().flatten() {
            assert_eq!(errors(&schema, &example["value"]), "", "{method} {path} {name}");
        }
    }
}

#[actix_web::test]
async fn its_paths_and_methods_are_those_that_are_routed() {
    let document = OpenApi::read();
    let app = TestApp::start().await;
    let mut documented: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for operation in document.operations() {
        let (asked, Operation { path, method, is_internal, .. }) = (operation.url(), operation);
        let url = format!("{}{asked}", if is_internal { &app.internal_url } else { &app.url });
        let answer = app.send(&method, &url, &[], Vec::new()).await;
        // Which files there are depends on whether the dashboard was built.
        let is_file = path.starts_with("/assets/");
        assert!(answer.status != 405 && (is_file || answer.status != 404), "{method} {path}: {}", answer.status);
        let methods = documented.entry(path.to_owned()).or_default();
        methods.insert(method);
        // The router itself says which methods there are.
        let other = app.send("PATCH", &url, &[], Vec::new()).await;
        assert_eq!(other.status, 405);
        let allowed: BTreeSet<String> = other.header("allow").unwrap().split(", ").map(str::to_owned).collect();
        assert!(methods.is_subset(&allowed), "{path}: {methods:?} {allowed:?}");
    }
    assert_eq!(documented, routed());
}

#[actix_web::test]
async fn its_parameters_are_those_that_are_read() {
    let document = OpenApi::read();
    let app = TestApp::start().await;
    for operation in document.operations() {
        let (asked, Operation { path, value, .. }) = (operation.url(), operation);
        let Some(token) = value["security"][0].as_object().and_then(|security| security.keys().next()) else {
            continue;
        };
        let token = match token.as_str() {
            "analystToken" => &app.analyst_token,
            "operatorToken" => &app.operator_token,
            "partnerToken" => &app.partner_token,
            _ => continue,
        };
        let bearer = format!("Bearer {token}");
        let ask = async |query: String| app.get(&format!("{asked}?{query}"), &[("Authorization", &bearer)]).await;
        let parameters: Vec<&Value> =
            value["parameters"].as_array().unwrap().iter().map(|parameter| document.resolved(parameter)).collect();
        let parameters: Vec<&Value> = parameters.into_iter().filter(|parameter| parameter["in"] == "query").collect();
        let names: Vec<&str> = parameters.iter().map(|parameter| parameter["name"].as_str().unwrap()).collect();
        let unknown = ask("colour=red".into()).await;
        document.check("GET", path, &unknown);
        let allowed = format!("the parameters are {}, each once", names.join(", "));
        assert_eq!(unknown.json()["problems"], json!([{ "parameter": null, "detail": allowed }]), "{path}");
        let plain = ask(String::new()).await;
        // Where no day is sealed there is no release to export.
        assert_eq!(plain.status, if path == "/v1/export/{name}" { 404 } else { 200 }, "{path}");
        for parameter in parameters {
            let (name, schema) = (parameter["name"].as_str().unwrap(), &parameter["schema"]);
            let wrong = ask(format!("{name}=@")).await;
            document.check("GET", path, &wrong);
            let problem = &wrong.json()["problems"][0];
            assert_eq!(problem["parameter"], name, "{path}");
            let words: Vec<String> = schema["enum"].as_array().into_iter().flatten().map(plain_text).collect();
            if !words.is_empty() {
                assert_eq!(problem["detail"], words.join(" | "), "{path} {name}");
            }
            let named = schema["anyOf"][0]["enum"].as_array().into_iter().flatten().map(plain_text);
            for word in words.into_iter().chain(named) {
                assert_eq!(ask(format!("{name}={word}")).await.status, plain.status, "{path} {name} {word}");
            }
            if let Some(default) = schema.get("default").map(plain_text) {
                assert_eq!(ask(format!("{name}={default}")).await.text, plain.text, "{path} {name}");
            }
        }
    }
}

fn plain_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
