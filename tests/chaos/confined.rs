//! What a relay is confined by: a small disk, a limit on descriptors, a control group.
//!
//! Each is a launcher for [`Home::launched_by`](commucat_tests::relay::Home::launched_by): a program that confines itself and
//! becomes the relay. What is made here goes when its value is dropped, and with the process of the test at the latest.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use commucat_tests::memory::MIB;
use commucat_tests::relay::Relay;
use rustix::process::{Resource, geteuid, getrlimit};

/// A tmpfs of a fixed size over a folder, in a mount namespace of its own that a process of ours holds open.
#[derive(Debug)]
pub(crate) struct SmallDisk {
    holder: Child,
    folder: PathBuf,
    launcher: Vec<String>,
}

impl SmallDisk {
    /// Over `folder`, which is made.
    ///
    /// # Panics
    /// When this process may make no mount namespace.
    pub(crate) fn over(folder: &Path, bytes: u64) -> Self {
        fs::create_dir_all(folder).unwrap();
        let is_root = geteuid().is_root();
        let user: &[&str] = if is_root { &[] } else { &["--user", "--map-root-user"] };
        let script = format!("mount -t tmpfs -o size={bytes},mode=0700 chaos \"$0\" && echo mounted && exec cat");
        let mut holder = Command::new("unshare")
            .args(user)
            .args(["--mount", "sh", "-c", &script])
            .arg(folder)
            // The end of this process ends it.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut word = String::new();
        let said = BufReader::new(holder.stdout.take().unwrap()).read_line(&mut word);
        assert!(
            said.is_ok() && word == "mounted\n",
            "no small disk: `unshare --mount` needs root, or user namespaces for everybody"
        );
        let mut launcher = vec!["nsenter".to_owned(), format!("--target={}", holder.id())];
        if !is_root {
            launcher.extend(["--user".to_owned(), "--preserve-credentials".to_owned()]);
        }
        // The folder is entered anew, for there the disk is.
        let script = "cd \"$0\" && exec \"$@\"";
        launcher.extend(["--mount", "sh", "-c", script].map(str::to_owned));
        launcher.push(folder.parent().unwrap().display().to_string());
        Self {
            folder: PathBuf::from(format!("/proc/{}/root{}", holder.id(), folder.display())),
            holder,
            launcher,
        }
    }

    /// Starts a relay that sees the disk.
    pub(crate) fn launcher(&self) -> Vec<String> {
        self.launcher.clone()
    }

    fn ballast(&self) -> PathBuf {
        self.folder.join("ballast")
    }

    /// Fills it until so many bytes are left, and never further: whose words are heard depends on that.
    pub(crate) fn fill(&self, left: u64) {
        let mut ballast = File::options().create(true).append(true).open(self.ballast()).unwrap();
        let mut wanted = self.free().saturating_sub(left);
        let block = vec![1; MIB as usize];
        while wanted > 0 {
            let piece = usize::try_from(wanted.min(MIB)).unwrap();
            if ballast.write_all(&block[..piece]).is_err() {
                // The store was faster with the last of it.
                return;
            }
            wanted -= piece as u64;
        }
    }

    fn free(&self) -> u64 {
        let output = Command::new("stat")
            .args(["--file-system", "--format=%a %S"])
            .arg(&self.folder)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let (blocks, size) = text.split_once(' ').unwrap();
        read_number(blocks) * read_number(size)
    }

    /// There is room again.
    pub(crate) fn make_room(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Starts a relay that may have so many descriptors, by the hard limit.
pub(crate) fn descriptors(most: u64) -> [String; 2] {
    ["prlimit".to_owned(), format!("--nofile={most}:{most}")]
}

/// Sets how many descriptors a running relay may have from here on; none for as many as the hard limit lets it.
pub(crate) fn limit_descriptors(relay: &Relay, most: Option<u64>) {
    let most = most.or(getrlimit(Resource::Nofile).maximum).unwrap_or(u64::MAX);
    let status = Command::new("prlimit")
        .arg(format!("--pid={}", relay.pid()))
        .arg(format!("--nofile={most}:"))
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
}

/// Which interface of control groups there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// A control group with a bound on memory.
#[derive(Debug)]
pub(crate) struct MemoryGroup {
    folder: PathBuf,
    version: Version,
}

impl MemoryGroup {
    /// A new one at the top of the hierarchy.
    ///
    /// # Panics
    /// When this process may make none.
    pub(crate) fn new(bytes: u64) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("chaos-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        for (root, version) in [
            ("/sys/fs/cgroup", Version::Two),
            ("/sys/fs/cgroup/memory", Version::One),
        ] {
            let folder = Path::new(root).join(&name);
            if !Path::new(root).join("cgroup.procs").exists() || fs::create_dir(&folder).is_err() {
                continue;
            }
            let group = Self { folder, version };
            if fs::write(group.limit(), bytes.to_string()).is_ok() {
                group.without_swap(bytes);
                return group;
            }
        }
        panic!(
            "no control group for memory can be made here: that needs root, and a mounted cgroup v2 or v1 controller"
        );
    }

    fn limit(&self) -> PathBuf {
        self.file("memory.limit_in_bytes", "memory.max")
    }

    fn file(&self, one: &str, two: &str) -> PathBuf {
        self.folder.join(match self.version {
            Version::One => one,
            Version::Two => two,
        })
    }

    /// A machine without swap accounting has no such files.
    fn without_swap(&self, bytes: u64) {
        let (file, most) = match self.version {
            Version::One => ("memory.memsw.limit_in_bytes", bytes),
            Version::Two => ("memory.swap.max", 0),
        };
        let _ = fs::write(self.folder.join(file), most.to_string());
    }

    /// Starts a relay in it.
    pub(crate) fn launcher(&self) -> Vec<String> {
        let script = "echo $$ > \"$0\" && exec \"$@\"";
        let procs = self.folder.join("cgroup.procs").display().to_string();
        ["sh", "-c", script]
            .map(str::to_owned)
            .into_iter()
            .chain([procs])
            .collect()
    }

    /// Another program in it.
    pub(crate) fn neighbour(&self, program: &str) -> Command {
        let launcher = self.launcher();
        let mut command = Command::new(&launcher[0]);
        command.args(&launcher[1..]).arg(program).stdin(Stdio::null());
        command
    }

    /// Whether the limit was met: on version 1 the highest use tells, to within what each core keeps in hand.
    pub(crate) fn is_met(&self) -> bool {
        let number = |file: &str| read_number(&fs::read_to_string(self.folder.join(file)).unwrap());
        match self.version {
            Version::One => number("memory.max_usage_in_bytes") + MIB >= number("memory.limit_in_bytes"),
            Version::Two => self.event("memory.events", "max") > 0,
        }
    }

    /// Processes that the kernel has ended for it.
    pub(crate) fn killed(&self) -> u64 {
        let file = match self.version {
            Version::One => "memory.oom_control",
            Version::Two => "memory.events",
        };
        self.event(file, "oom_kill")
    }

    fn event(&self, file: &str, name: &str) -> u64 {
        let text = fs::read_to_string(self.folder.join(file)).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        read_number(line.unwrap())
    }
}

fn read_number(text: &str) -> u64 {
    text.trim().parse().unwrap()
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // Its processes have ended; one that has not been waited for yet holds it up a little.
        let _ = fs::remove_dir(&self.folder);
    }
}
