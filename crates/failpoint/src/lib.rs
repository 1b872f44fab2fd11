//! Named places at which a test may kill this process, slow it down, have something fail or take the time. In a build without the feature
//! `armed` every function here is empty, reads no variable, and is gone from the binary.
//!
//! With it, `ALTER_FAILPOINT` names what happens: `consumed` kills the process (SIGKILL, to itself) when it passes that
//! place, `consumed:2` at the second pass, `consumed:sleep=50` waits 50 ms at each pass, `fsync:fail=20` lets what asks
//! by that name fail the twentieth time; several are parted by commas.
//! Killing from inside hits a point exactly; what lies between two points is hit from outside, at random moments
//! (`bench/crash`).
//!
//! To add a place: `alter_failpoint::pass("name")` where it belongs, and a test that dies there.

#[cfg(feature = "armed")]
mod armed;

/// Whether this build can be killed by a variable: then it is no build to serve people with.
pub const ARMED: bool = cfg!(feature = "armed");

/// Passes the place of this name.
#[inline]
pub fn pass(name: &str) {
    #[cfg(feature = "armed")]
    armed::pass(name);
    #[cfg(not(feature = "armed"))]
    let _ = name;
}

/// Whether what is done here is to fail, this time.
#[inline]
pub fn fails(name: &str) -> bool {
    #[cfg(feature = "armed")]
    return armed::fails(name);
    #[cfg(not(feature = "armed"))]
    {
        let _ = name;
        false
    }
}

/// A number of seconds that tests may shorten by a variable.
#[inline]
pub fn seconds(variable: &str, production: u32) -> u32 {
    #[cfg(feature = "armed")]
    return armed::seconds(variable).unwrap_or(production);
    #[cfg(not(feature = "armed"))]
    {
        let _ = variable;
        production
    }
}

/// Takes the time between two places; the log of an armed build has it in microseconds.
#[derive(Debug)]
pub struct Stopwatch {
    #[cfg(feature = "armed")]
    begun: std::time::Instant,
}

impl Stopwatch {
    /// Starts it.
    #[inline]
    #[must_use]
    pub fn start() -> Self {
        Self {
            #[cfg(feature = "armed")]
            begun: std::time::Instant::now(),
        }
    }

    /// Stops it and logs what was measured, under this name.
    #[inline]
    pub fn stop(self, name: &str) {
        #[cfg(feature = "armed")]
        tracing::info!(stopwatch = name, microseconds = self.begun.elapsed().as_micros() as u64, "measured");
        #[cfg(not(feature = "armed"))]
        let _ = name;
    }
}
