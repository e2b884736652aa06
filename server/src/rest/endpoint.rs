//! A call of the REST surface: its route and its description are one value, so neither exists without the other.

use axum::routing::MethodRouter;
use http::Method;
use serde_json::{Map, Value, json};

use super::Site;

/// One call.
pub(super) struct Endpoint {
    /// How.
    pub(super) method: Method,
    /// Where.
    pub(super) path: &'static str,
    /// Who answers.
    pub(super) handler: MethodRouter<Site>,
    /// What the OpenAPI document says of it.
    pub(super) operation: Operation,
}

/// What is shown as `Authorization: Bearer`.
#[derive(Clone, Copy, Debug)]
enum Token {
    Session,
    Operator,
}

/// A call as the OpenAPI document has it. What every call may answer (429, 503) is added for all.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    id: &'static str,
    summary: &'static str,
    /// Which scheme its token is of, when it takes one.
    token: Option<Token>,
    /// A part of the operator's page, which is for people and their browsers: not in the document.
    pub(super) hidden: bool,
    /// A schema's name, and whether the call needs a body.
    body: Option<(&'static str, bool)>,
    answer: Option<(&'static str, Value)>,
    problems: Vec<(u16, &'static str)>,
}

impl Operation {
    /// A call without a body for anybody.
    #[must_use]
    pub(super) const fn new(id: &'static str, summary: &'static str) -> Self {
        Self {
            id,
            summary,
            token: None,
            hidden: false,
            body: None,
            answer: None,
            problems: Vec::new(),
        }
    }

    /// It takes a session's token.
    #[must_use]
    pub(super) fn bearer(mut self) -> Self {
        self.token = Some(Token::Session);
        self.problem(401, "No token, or one that is worth nothing.")
    }

    /// It takes the operator's token, when one is configured.
    #[must_use]
    pub(super) fn operator(mut self) -> Self {
        self.token = Some(Token::Operator);
        self.problem(401, "An admin token is configured, and this is not it.")
    }

    /// A part of a page.
    #[must_use]
    pub(super) const fn page() -> Self {
        let mut operation = Self::new("", "");
        operation.hidden = true;
        operation
    }

    /// It takes JSON of this schema.
    #[must_use]
    pub(super) fn body(mut self, schema: &'static str, required: bool) -> Self {
        self.body = Some((schema, required));
        self.problem(400, "The body is no JSON object.")
            .problem(413, "The body is too long.")
            .problem(415, "The body is not declared as JSON.")
            .problem(422, "The body's members are not what the schema says.")
    }

    /// It answers JSON of this schema.
    #[must_use]
    pub(super) fn json(self, schema: &str) -> Self {
        let schema = json!({ "$ref": format!("#/components/schemas/{schema}") });
        self.answers("application/json", schema)
    }

    /// It answers this media type.
    #[must_use]
    pub(super) fn answers(mut self, media: &'static str, schema: Value) -> Self {
        self.answer = Some((media, schema));
        self
    }

    /// It may answer this problem.
    #[must_use]
    pub(super) fn problem(mut self, status: u16, when: &'static str) -> Self {
        self.problems.push((status, when));
        self
    }

    /// An OpenAPI operation object.
    #[must_use]
    pub(super) fn describe(&self) -> Value {
        let mut responses = Map::new();
        if let Some((media, schema)) = &self.answer {
            let good = json!({ "description": "Done.", "content": { *media: { "schema": schema } } });
            responses.insert("200".to_owned(), good);
        }
        let mut problems = self.problems.clone();
        problems.push((429, "Too many calls; `Retry-After` tells when to come back."));
        problems.push((
            503,
            "The server or its store cannot answer now; `Retry-After` tells when to come back.",
        ));
        problems.sort_unstable();
        for (status, when) in problems {
            responses.insert(status.to_string(), problem(status, when));
        }
        let mut operation = json!({ "operationId": self.id, "summary": self.summary, "responses": responses });
        match self.token {
            Some(Token::Session) => operation["security"] = json!([{ "bearer": [] }]),
            // Or none, where none is configured.
            Some(Token::Operator) => operation["security"] = json!([{ "operator": [] }, {}]),
            None => {}
        }
        if let Some((schema, required)) = self.body {
            operation["requestBody"] = json!({
                "required": required,
                "content": { "application/json": { "schema": { "$ref": format!("#/components/schemas/{schema}") } } },
            });
        }
        operation
    }
}

fn problem(status: u16, when: &str) -> Value {
    let mut response = json!({
        "description": when,
        "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
    });
    match status {
        401 => {
            response["headers"] = json!({ "WWW-Authenticate": { "required": true, "schema": { "type": "string" } } })
        }
        429 | 503 => {
            response["headers"] = json!({ "Retry-After": { "required": true, "schema": { "type": "string" } } })
        }
        _ => {}
    }
    response
}
