//! Every body of the wire can be read and written by these types: the examples of the contract go both ways.

use std::collections::BTreeSet;

use alter_api::{
    ErrorBody, agent::*, catalog::*, connect::*, grant::*, health::*, report::*, session::*, token::*,
    user::*,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

fn examples() -> Map<String, Value> {
    serde_json::from_str(include_str!("../../../contract/examples.json")).expect("the examples are JSON")
}

/// Whether `written` has everything that the example has. Fields that the example leaves out may be null or a default.
fn has_all(written: &Value, example: &Value) -> bool {
    match (written, example) {
        (Value::Object(written), Value::Object(example)) => {
            example.iter().all(|(name, value)| written.get(name).is_some_and(|w| has_all(w, value)))
        }
        (Value::Array(written), Value::Array(example)) => {
            written.len() == example.len() && written.iter().zip(example).all(|(w, e)| has_all(w, e))
        }
        _ => written == example,
    }
}

fn goes_both_ways<T: Serialize + DeserializeOwned>(name: &str, example: &Value) {
    let read = |value: &Value| serde_json::from_value::<T>(value.clone());
    let write = |value: &T| serde_json::to_value(value).expect("it can be written");
    let first = write(&read(example).unwrap_or_else(|error| panic!("{name}: {error}")));
    assert!(has_all(&first, example), "{name}: {first} lacks something of {example}");
    let again = read(&first).unwrap_or_else(|error| panic!("{name}, as it was written: {error}"));
    assert_eq!(write(&again), first, "{name}");
}

macro_rules! both_ways {
    ($($body:ident)*) => {
        #[test]
        fn every_body_can_be_read_and_written_and_has_an_example() {
            let examples = examples();
            $(goes_both_ways::<$body>(stringify!($body), &examples[stringify!($body)]);)*
            let tried = BTreeSet::from([$(stringify!($body)),*]);
            assert_eq!(tried, examples.keys().map(String::as_str).collect(), "bodies and examples");
        }
    };
}

both_ways! {
    AgentInfo AgentKey Alive ChangeAgent ClaimRequest CreateAgent CreateAuthSession CreateSession CreatedAgent CreatedAgentKey
    CreatedAuthSession CreatedSession ErrorBody FinalizeSession FinalizedSession ListGrants ListedAgentKeys ListedAgents ListedGrants
    Location NoFields Nothing PageSign PageState PeekAnswer PeekRequest PollAuthSession PollSession PolledAuthSession PolledSession ProviderCatalog
    ProviderStep Ready ReportedCall ResultRequest RetrieveToken RetrievedToken RevokeGrantBody RevokedGrantAnswer
    StatusAnswer StatusRequest VerifiedUser VerifyToken
}

/// The secrets in an example: tokens and keys.
fn secrets(example: &Value) -> Vec<String> {
    let names = [
        "session_token",
        "result_code",
        "code_verifier",
        "connect_url",
        "auth_url",
        "user_token",
        "access_token",
        "api_key",
        "token",
        "location",
    ];
    let found = names.iter().filter_map(|name| example[*name].as_str());
    found.map(str::to_owned).collect()
}

macro_rules! hidden {
    ($($body:ident)*) => {
        #[test]
        fn debug_hides_what_opens_something() {
            let examples = examples();
            $({
                let example = &examples[stringify!($body)];
                let secrets = secrets(example);
                assert!(!secrets.is_empty(), "{} carries a secret", stringify!($body));
                let shown = format!("{:?}", serde_json::from_value::<$body>(example.clone()).expect("an example"));
                assert!(secrets.iter().all(|secret| !shown.contains(secret)), "{shown}");
            })*
        }
    };
}

hidden! {
    ClaimRequest CreatedAgent CreatedAgentKey CreatedAuthSession CreatedSession FinalizeSession Location PeekRequest PollAuthSession
    PollSession PolledAuthSession RetrievedToken StatusRequest
    VerifyToken
}

#[test]
fn a_field_that_is_null_and_one_that_is_absent_are_told_apart_both_ways() {
    for text in ["{}", r#"{"display_name":null}"#, r#"{"display_name":"x"}"#] {
        let read: ChangeAgent = serde_json::from_str(text).expect("a change");
        let written = serde_json::to_value(&read).expect("it can be written");
        let given: Value = serde_json::from_str(text).expect("JSON");
        assert_eq!(written.get("display_name"), given.get("display_name"), "{text}");
    }
}
