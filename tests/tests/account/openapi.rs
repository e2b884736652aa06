//! The document is complete, and true.

use std::collections::BTreeSet;

use commucat_tests::account::Rest;
use commucat_tests::curl::curl;
use commucat_tests::relay::Home;
use commucat_tests::repository::{read, rust_files};
use serde_json::Value;

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "DELETE", "PATCH"];

#[test]
fn every_call_in_the_document_is_served_and_no_other_method_is() {
    let home = Home::new();
    let relay = home.start(&[]);
    let rest = Rest::of(&relay);
    assert!(rest.spec().paths().len() >= 10);
    for (path, operations) in rest.spec().paths() {
        let documented: BTreeSet<_> = operations
            .as_object()
            .unwrap()
            .keys()
            .map(|method| method.to_uppercase())
            .collect();
        let mut allowed = documented.clone();
        if allowed.contains("GET") {
            allowed.insert("HEAD".to_owned());
        }
        for method in METHODS {
            if documented.contains(method) {
                // Held against the document by the call itself.
                let answer = rest.raw(method, path, &[]);
                assert_ne!(answer.status, 404, "{method} {path}");
                continue;
            }
            let answer = curl(&["--request", method, &format!("{}{path}", relay.url())]).unwrap();
            answer.assert_problem(405, "Method Not Allowed");
            let allow = answer.header("allow").unwrap();
            let allow: BTreeSet<_> = allow.split(',').map(|method| method.trim().to_owned()).collect();
            assert_eq!(allow, allowed, "{path}");
        }
    }
}

#[test]
fn the_router_has_no_route_that_is_not_described() {
    // Routes are made in one place, from the list that the document is made from.
    let routes = rust_files()
        .into_iter()
        .filter(|file| file.starts_with("server/src") && !file.ends_with("rest/desk.rs"))
        .flat_map(|file| {
            let text = read(&file);
            let found = text
                .lines()
                .filter(|line| line.contains(".route(") || line.contains(".nest("));
            found
                .map(|line| (file.clone(), line.trim().to_owned()))
                .collect::<Vec<_>>()
        });
    let routes: Vec<_> = routes.map(|(file, line)| (file.display().to_string(), line)).collect();
    assert_eq!(
        routes,
        [(
            "server/src/rest/mod.rs".to_owned(),
            "router.route(path, handler)".to_owned()
        )],
        "add an Endpoint instead: it is the route and its description"
    );
}

#[test]
fn the_document_holds_together() {
    let home = Home::new();
    let relay = home.start(&[]);
    let rest = Rest::of(&relay);
    let document = rest.spec().document();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let mut used = BTreeSet::new();
    references(document, &mut used);
    let named: BTreeSet<_> = schemas
        .keys()
        .map(|name| format!("#/components/schemas/{name}"))
        .collect();
    assert_eq!(used, named, "a schema that nobody uses, or a use of none");
    let mut ids = BTreeSet::new();
    for (path, operations) in rest.spec().paths() {
        for (method, operation) in operations.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{id} stands twice");
            assert!(!operation["summary"].as_str().unwrap().is_empty(), "{method} {path}");
            let responses = operation["responses"].as_object().unwrap();
            let needed = ["200", "429", "503"];
            assert!(
                needed.iter().all(|status| responses.contains_key(*status)),
                "{method} {path}"
            );
            let secured = operation.get("security").is_some();
            assert_eq!(responses.contains_key("401"), secured, "{method} {path}");
        }
    }
    assert_eq!(document["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
}

fn references(value: &Value, used: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(target)) = members.get("$ref") {
                used.insert(target.clone());
            }
            members.values().for_each(|member| references(member, used));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, used)),
        _ => {}
    }
}
