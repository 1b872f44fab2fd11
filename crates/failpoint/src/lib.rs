//! Named places at which a test may kill this process, slow it down, make an operation fail or measure time. In a build
//! without the feature `armed` every function here is empty, reads no variable, and is gone from the binary.
//!
//! In an armed build `ALTER_FAILPOINT` says what happens: `consumed` kills the process (it sends itself SIGKILL) when
//! it passes the place of that name, `consumed:2` at the second pass, `consumed:sleep=50` waits 50 ms at each pass,
//! `fsync:fail=20` makes the twentieth operation that asks [`fails`] by that name fail. Commas separate several.
//!
//! Killing from inside hits a point exactly; `bench/crash` kills from outside, at random moments, and so hits what lies
//! between two points.
//!
//! To add a place: `alter_failpoint::pass("name")` where it belongs, and a test that dies there.

#[cfg(feature = "armed")]
mod armed;

/// Whether an environment variable can kill this build; such a build must not run in production.
pub const ARMED: bool = cfg!(feature = "armed");

/// The environment variables that an armed build reads; none in any other build.
pub const VARIABLES: &[&str] = {
    #[cfg(feature = "armed")]
    {
        armed::VARIABLES
    }
    #[cfg(not(feature = "armed"))]
    &[]
};

/// Marks a place: an armed build may die or wait here, as `ALTER_FAILPOINT` says for `name`.
#[inline]
pub fn pass(name: &str) {
    #[cfg(feature = "armed")]
    armed::pass(name);
    #[cfg(not(feature = "armed"))]
    let _ = name;
}

/// Whether the operation at the place `name` should fail this time.
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

/// A number of seconds: `production`, or in an armed build the value of `variable` if it is set.
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

/// Measures the time between two places. An armed build logs it in microseconds.
#[derive(Debug)]
pub struct Stopwatch {
    #[cfg(feature = "armed")]
    begun: std::time::Instant,
}

impl Stopwatch {
    /// Starts to measure.
    #[inline]
    #[must_use]
    pub fn start() -> Self {
        Self {
            #[cfg(feature = "armed")]
            begun: std::time::Instant::now(),
        }
    }

    /// Stops, and logs the time under `name`.
    #[inline]
    pub fn stop(self, name: &str) {
        #[cfg(feature = "armed")]
        tracing::info!(stopwatch = name, microseconds = self.begun.elapsed().as_micros() as u64, "measured");
        #[cfg(not(feature = "armed"))]
        let _ = name;
    }
}
