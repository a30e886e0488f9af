//! A control group for one process, so that the kernel bills its CPU a second time.
//!
//! It is made beside this process's own groups: of version 2, or of version 1 with cpuacct. Where
//! neither can be written to there is none, and nothing is done about it.

use std::fs;
use std::path::{Path, PathBuf};

/// A control group with one process in it; dropping it takes it away, once that process is gone.
#[derive(Debug)]
pub(super) struct Group {
    folder: PathBuf,
}

impl Group {
    /// Puts a process into a group of its own; None where that cannot be done here.
    pub(super) fn of(pid: u32) -> Option<Group> {
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        parents(&own).into_iter().find_map(|parent| Group::below(&parent, pid))
    }

    fn below(parent: &Path, pid: u32) -> Option<Group> {
        let folder = parent.join(format!("tollgate-{pid}"));
        fs::create_dir(&folder).ok()?;
        // From here on it is taken away again whatever fails.
        let group = Group { folder };
        fs::write(group.folder.join("cgroup.procs"), pid.to_string()).ok()?;
        let kept = ["cpu.stat", "cpuacct.usage"];
        kept.iter().any(|file| group.folder.join(file).exists()).then_some(group)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // If it is not empty yet, it stays behind empty: there is nothing better to do.
        let _ = fs::remove_dir(&self.folder);
    }
}

/// Where this process's own groups may be, by its `/proc/self/cgroup`.
fn parents(cgroup: &str) -> Vec<PathBuf> {
    let mut parents = Vec::new();
    for line in cgroup.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let below = |root: &str| PathBuf::from(format!("/sys/fs/cgroup{root}{path}"));
        if controllers.is_empty() {
            // Alone, or beside groups of version 1.
            parents.splice(0..0, [below(""), below("/unified")]);
        } else if controllers.split(',').any(|controller| controller == "cpuacct") {
            parents.push(below(&format!("/{controllers}")));
        }
    }
    // The root of a mixture of both versions is no group.
    parents.retain(|parent| parent.join("cgroup.procs").exists());
    parents
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_group_lives_as_long_as_it_is_held_where_one_can_be_made() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let group = Group::of(child.id());
        let folder = group.as_ref().map(|group| group.folder().to_path_buf());
        let members = folder.as_ref().map(|folder| fs::read_to_string(folder.join("cgroup.procs")));
        drop(child.stdin.take());
        child.wait().unwrap();
        drop(group);
        if let (Some(folder), Some(members)) = (folder, members) {
            assert_eq!(members.unwrap().trim(), child.id().to_string());
            assert!(!folder.exists(), "{} was left behind", folder.display());
        }
    }

    #[test]
    fn nothing_that_is_not_there_is_a_parent() {
        assert!(parents("0::/no/such/group\n3:cpuacct:/neither\n5:memory:/\nodd\n").is_empty());
    }
}
