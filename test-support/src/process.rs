use std::{
    fs,
    process::{Child, Command, ExitStatus},
};

/// A server's process, with those that it has started. Dropped, it is killed.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// Starts it.
    pub fn start(command: &mut Command) -> Self {
        Self(
            command
                .spawn()
                .unwrap_or_else(|error| panic!("{command:?}: {error}")),
        )
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().expect("it is our child")
    }

    /// Stops it where it is, with all its children: connections stay open, nothing answers.
    pub fn freeze(&self) {
        // Its own process first, which then starts no more.
        signal("STOP", &[self.0.id()]);
        signal("STOP", &children(self.0.id()));
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        signal("CONT", &children(self.0.id()));
        signal("CONT", &[self.0.id()]);
    }

    /// Sends a signal, such as `"HUP"`.
    pub fn signal(&self, name: &str) {
        signal(name, &[self.0.id()]);
    }

    /// Kills it and all its children with -9, at once.
    pub fn kill(&mut self) {
        if self.ended().is_some() {
            return;
        }
        self.freeze();
        signal("KILL", &children(self.0.id()));
        signal("KILL", &[self.0.id()]);
        self.wait();
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        self.0.wait().expect("it is our child")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn signal(name: &str, processes: &[u32]) {
    if processes.is_empty() {
        return;
    }
    let processes: Vec<_> = processes.iter().map(u32::to_string).collect();
    // The shell's own `kill` is always there. Who has ended since is not missed.
    Command::new("sh")
        .arg("-c")
        .arg(format!("kill -{name} {} 2>/dev/null", processes.join(" ")))
        .status()
        .expect("there is a shell");
}

/// The processes whose parent is this one.
fn children(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").expect("processes are listed in /proc");
    processes
        .filter_map(|entry| {
            let process = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
            // After the name in parentheses, which may have any character: the state, the parent.
            let parents = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?;
            (parents.parse() == Ok(parent)).then_some(process)
        })
        .collect()
}
