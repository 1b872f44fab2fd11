//! The process, the databases, the browser and the invariants of the crash tests.

mod alter;
mod database;
mod truth;
mod visit;

pub(crate) use alter::{Alter, HURRY};
pub(crate) use database::Database;
pub(crate) use truth::{End, check_truth, no_secret_in, the_audit_verifies};
pub(crate) use visit::Visit;

/// Makes one test per database from every scenario `async fn name(on: Database)`.
macro_rules! on_every_database {
    ($($name:ident),+ $(,)?) => {
        mod on_sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name($crate::harness::Database::Sqlite).await;
                }
            )+
        }
        mod on_postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name($crate::harness::Database::postgres()).await;
                }
            )+
        }
    };
}
pub(crate) use on_every_database;

/// The same for scenarios with two servers at once, which one SQLite file does not admit.
macro_rules! with_two_servers {
    ($($name:ident),+ $(,)?) => {
        mod with_two_servers {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name($crate::harness::Database::postgres()).await;
                }
            )+
        }
    };
}
pub(crate) use with_two_servers;
