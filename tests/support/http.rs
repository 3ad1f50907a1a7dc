//! A server, and a browser that keeps its cookies.
#![allow(dead_code)] // Each test program uses its part.

use std::{collections::BTreeMap, net::SocketAddr};

use axum::Router;
use cloakroom::SessionLayer;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::routes::routes;

/// The cookie of the default settings.
pub(crate) const COOKIE: &str = "__Host-id";

/// An application on a free port.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Server {
    address: SocketAddr,
}

impl Server {
    pub(crate) async fn start(router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address }
    }

    /// Everything a session can do, by path.
    pub(crate) async fn with(layer: SessionLayer) -> Self {
        Self::start(routes().layer(layer)).await
    }

    pub(crate) fn browser(&self) -> Browser {
        Browser {
            address: self.address,
            cookies: BTreeMap::new(),
        }
    }
}

/// Keeps the cookies it is sent, as a browser does.
#[derive(Clone, Debug)]
pub(crate) struct Browser {
    address: SocketAddr,
    pub(crate) cookies: BTreeMap<String, String>,
}

impl Browser {
    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.request("GET", path).await
    }

    pub(crate) async fn post(&mut self, path: &str) -> Answer {
        self.request("POST", path).await
    }

    async fn request(&mut self, method: &str, path: &str) -> Answer {
        let pairs: Vec<_> = self
            .cookies
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect();
        let headers = match pairs.is_empty() {
            true => String::new(),
            false => format!("Cookie: {}\r\n", pairs.join("; ")),
        };
        let answer = self.raw(method, path, &headers).await;
        for line in answer.all("set-cookie") {
            let (name, rest) = line.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap().to_owned();
            match line.contains("Max-Age=0") {
                true => self.cookies.remove(name),
                false => self.cookies.insert(name.to_owned(), value),
            };
        }
        answer
    }

    /// Sends these header lines and no cookies of its own.
    pub(crate) async fn raw(&self, method: &str, path: &str, headers: &str) -> Answer {
        let mut stream = self.send(method, path, headers).await;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        Answer::parse(&String::from_utf8(bytes).unwrap())
    }

    /// Sends a request; the answer is the caller's to read, or not to.
    pub(crate) async fn send(&self, method: &str, path: &str, headers: &str) -> TcpStream {
        let mut stream = self.connect().await;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\
             Content-Length: 0\r\n{headers}\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
    }

    /// Connects and sends nothing.
    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// The token in the session's cookie.
    pub(crate) fn token(&self) -> &str {
        &self.cookies[COOKIE]
    }

    pub(crate) fn header(&self) -> String {
        format!("Cookie: {COOKIE}={}\r\n", self.token())
    }
}

/// A response.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    headers: Vec<(String, String)>,
}

impl Answer {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").expect("a response head");
        let mut lines = head.lines();
        let status = lines
            .next()
            .unwrap()
            .split(' ')
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_ascii_lowercase(), value.to_owned())
        });
        Self {
            status,
            headers: headers.collect(),
            body: body.to_owned(),
        }
    }

    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(found, _)| found == name);
        named.map(|(_, value)| &**value).collect()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// The `Set-Cookie` of this name; there is at most one (M12).
    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        let start = format!("{name}=");
        let cookies = self.all("set-cookie");
        let named: Vec<_> = cookies
            .iter()
            .filter(|line| line.starts_with(&start))
            .collect();
        assert!(named.len() <= 1, "{named:?}");
        named.first().map(|line| **line)
    }

    /// The `Max-Age` of the session's cookie, in seconds.
    pub(crate) fn max_age(&self) -> Option<u64> {
        let (_, rest) = self.cookie(COOKIE)?.split_once("Max-Age=")?;
        Some(rest.split(';').next()?.parse().unwrap())
    }
}
