//! As much of a browser as the tests need.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::TcpStream,
};

use serde_json::Value;

/// The cookie of the sessions.
pub(crate) const COOKIE: &str = "__Host-id";

/// The password of every user here.
pub(crate) const PASSWORD: &str = "correct horse";

/// Keeps cookies, follows no redirects.
#[derive(Clone)]
pub(crate) struct Browser {
    address: String,
    pub(crate) cookies: BTreeMap<String, String>,
}

pub(crate) struct Response {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Browser {
    pub(crate) fn new(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            cookies: BTreeMap::new(),
        }
    }

    pub(crate) fn get(&mut self, path: &str) -> Response {
        self.send("GET", path, &[], "")
    }

    pub(crate) fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Response {
        self.post_with(path, fields, &[])
    }

    pub(crate) fn post_with(
        &mut self,
        path: &str,
        fields: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Response {
        let kind = ("content-type", "application/x-www-form-urlencoded");
        let fields = fields
            .iter()
            .map(|(name, value)| format!("{name}={}", encoded(value)));
        let body = fields.collect::<Vec<_>>().join("&");
        self.send("POST", path, &[&[kind], headers].concat(), &body)
    }

    /// Signs up, which signs in.
    pub(crate) fn sign_up(&mut self, name: &str) -> Response {
        self.post("/signup", &[("username", name), ("password", PASSWORD)])
    }

    /// Opens the page and posts its form; `more` is `remember` or `next`.
    pub(crate) fn log_in(&mut self, name: &str, more: &[(&str, &str)]) -> Response {
        assert_eq!(self.get("/login").status, 200);
        let fields = [("username", name), ("password", PASSWORD)];
        self.post("/login", &[&fields, more].concat())
    }

    pub(crate) fn whoami(&mut self) -> Value {
        serde_json::from_str(&self.get("/whoami").body).unwrap()
    }

    /// The name of who is signed in.
    pub(crate) fn user(&mut self) -> Option<String> {
        self.whoami()["user"].as_str().map(str::to_owned)
    }

    fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n",
            body.len()
        );
        let host = ("host", &*self.address);
        let names_host = headers.iter().any(|(name, _)| *name == "host");
        for (name, value) in headers.iter().chain((!names_host).then_some(&host)) {
            request += &format!("{name}: {value}\r\n");
        }
        for (name, value) in &self.cookies {
            request += &format!("cookie: {name}={value}\r\n");
        }
        request += &format!("\r\n{body}");

        let mut connection = TcpStream::connect(&self.address).unwrap();
        connection.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        let response = Response::parse(&answer);
        self.keep(&response);
        response
    }

    fn keep(&mut self, response: &Response) {
        for cookie in response.all("set-cookie") {
            let (name, rest) = cookie.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            match rest.contains("Max-Age=0") {
                true => self.cookies.remove(name),
                false => self.cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
    }
}

impl Response {
    fn parse(answer: &str) -> Self {
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let (first, headers) = head.split_once("\r\n").unwrap();
        let headers = headers.lines().map(|line| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_owned(), value.to_owned())
        });
        Self {
            status: first.split(' ').nth(1).unwrap().parse().unwrap(),
            headers: headers.collect(),
            body: body.to_owned(),
        }
    }

    fn all<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a str> {
        let found = self.headers.iter().filter(move |(found, _)| found == name);
        found.map(|(_, value)| value.as_str())
    }

    /// A header that is there once at most.
    pub(crate) fn header(&self, name: &'static str) -> Option<&str> {
        let mut found = self.all(name);
        let first = found.next();
        assert_eq!(found.next(), None, "more than one {name}");
        first
    }

    /// What is set for the session's cookie.
    pub(crate) fn session_cookie(&self) -> Option<&str> {
        let mut ours = self
            .all("set-cookie")
            .filter(|cookie| cookie.starts_with(&format!("{COOKIE}=")));
        let first = ours.next();
        assert_eq!(ours.next(), None, "more than one session cookie");
        first
    }

    /// Status and `Location`.
    pub(crate) fn redirect(&self) -> (u16, &str) {
        (self.status, self.header("location").unwrap_or_default())
    }

    /// The number of visits that the page shows.
    pub(crate) fn visits(&self) -> Option<u64> {
        let (_, rest) = self.body.split_once("id=\"visits\">")?;
        rest.split('<').next()?.parse().ok()
    }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Seconds that remain of so many, on a machine that may be slow.
pub(crate) fn assert_near(remaining: &Value, of: u64) {
    let remaining = remaining.as_u64().unwrap();
    assert!((of - 30..=of).contains(&remaining), "{remaining} of {of}");
}
