//! Processor time of a process, in nanoseconds, as the scheduler counts it.

use std::fs;
use std::path::PathBuf;

/// `/proc` does not tell.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the processor time of {pid} from {path}: {why}")]
pub struct CpuError {
    pid: u32,
    path: PathBuf,
    why: String,
}

/// User and system time of all threads that are alive. The ticks of `/proc/PID/stat` are a hundredth of a second, these are exact.
///
/// # Errors
/// When the process is gone or the kernel was built without CONFIG_SCHED_INFO.
pub fn cpu_ns(pid: u32) -> Result<u64, CpuError> {
    let tasks = PathBuf::from(format!("/proc/{pid}/task"));
    let failed = |path: &PathBuf, why: String| CpuError {
        pid,
        path: path.clone(),
        why,
    };
    let mut sum = 0;
    for task in fs::read_dir(&tasks).map_err(|error| failed(&tasks, error.to_string()))? {
        let path = task
            .map_err(|error| failed(&tasks, error.to_string()))?
            .path()
            .join("schedstat");
        // A thread may have ended since the folder was read.
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        let first = text.split_whitespace().next().and_then(|word| word.parse::<u64>().ok());
        sum += first.ok_or_else(|| failed(&path, format!("it says {text:?}")))?;
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::cpu_ns;

    #[test]
    fn work_is_counted() {
        let before = cpu_ns(std::process::id()).expect("the own process is there");
        let mut number = 1_u64;
        while cpu_ns(std::process::id()).expect("the own process is there") < before + 1_000_000 {
            number = std::hint::black_box(number.wrapping_mul(3));
        }
    }
}
