use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

/// A running chromedriver, which ends with all the browsers that it has started.
#[derive(Debug)]
pub(crate) struct Driver {
    child: Child,
    port: u16,
    /// Held open: the driver writes to it now and then.
    _said: BufReader<ChildStdout>,
}

impl Driver {
    pub(crate) fn start() -> Self {
        let mut child = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("chromedriver: {error}; scripts/test installs it"));
        let mut said = BufReader::new(child.stdout.take().expect("it is piped"));
        let port = loop {
            let mut line = String::new();
            let read = said.read_line(&mut line).expect("it speaks UTF-8");
            assert!(read > 0, "chromedriver ended before it served");
            if let Some((_, rest)) = line.split_once("started successfully on port ") {
                let port = rest.trim_end().trim_end_matches('.');
                break port.parse().expect("a port is a number");
            }
        };
        Self {
            child,
            port,
            _said: said,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Has it end its browsers, and waits for that. A driver that is killed leaves them behind.
    fn shut_down(&self) -> std::io::Result<()> {
        let mut connection = TcpStream::connect(("127.0.0.1", self.port))?;
        connection.set_read_timeout(Some(Duration::from_secs(20)))?;
        connection.write_all(b"GET /shutdown HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")?;
        connection.read_to_end(&mut Vec::new())?;
        Ok(())
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Err(error) = self.shut_down() {
            eprintln!("chromedriver does not shut down: {error}");
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
