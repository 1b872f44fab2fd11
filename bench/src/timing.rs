//! Measures what the time of a refusal reveals (T57, T60). Nothing is asserted: the length of tokens and the lookup by
//! hash keep guessing hopeless. The figures show whether anything unexpected stands out.

use std::time::Instant;

use alter_core::{SystemRandom, key::mint_key, token::mint_session_token};
use secrecy::ExposeSecret;
use serde::Serialize;
use serde_json::json;

use crate::{
    alter::Alter,
    client::{Connection, request},
    signer::Signer,
};

/// Refusals of each kind; the kinds take turns.
const ROUNDS: usize = 2000;
/// Refusals of each kind that are sent first and not counted.
const WARM_UP: usize = 100;

#[derive(Debug, Serialize)]
pub(crate) struct Timing {
    pub(crate) threat: &'static str,
    pub(crate) what: &'static str,
    pub(crate) status: u16,
    pub(crate) p50_us: f64,
    pub(crate) p90_us: f64,
}

struct Kind {
    threat: &'static str,
    what: &'static str,
    make: Box<dyn Fn() -> Vec<u8> + Send + Sync>,
}

pub(crate) async fn look(alter: &Alter, signer: &Signer) -> anyhow::Result<Vec<Timing>> {
    let kinds = kinds(alter, signer);
    let mut connection = Connection::open(alter.port).await?;
    let mut times: Vec<(u16, Vec<f64>)> = kinds.iter().map(|_| (0, Vec::new())).collect();
    for round in 0..WARM_UP + ROUNDS {
        for (kind, (status, taken)) in kinds.iter().zip(&mut times) {
            let request = (kind.make)();
            let begun = Instant::now();
            let reply = connection.exchange(&request).await?;
            let elapsed = begun.elapsed();
            let last = reply.is_last();
            *status = reply.status;
            if round >= WARM_UP {
                taken.push(elapsed.as_secs_f64() * 1_000_000.0);
            }
            if last {
                connection = Connection::open(alter.port).await?;
            }
        }
    }
    let timing = |(kind, (status, mut taken)): (&Kind, (u16, Vec<f64>))| {
        taken.sort_unstable_by(f64::total_cmp);
        let at = |tenths: usize| taken.get(taken.len() * tenths / 10).copied().unwrap_or_default();
        Timing { threat: kind.threat, what: kind.what, status, p50_us: at(5), p90_us: at(9) }
    };
    Ok(kinds.iter().zip(times).map(timing).collect())
}

fn kinds(alter: &Alter, signer: &Signer) -> Vec<Kind> {
    let kind = |threat, what, make: Box<dyn Fn() -> Vec<u8> + Send + Sync>| Kind { threat, what, make };
    let wrong = |at: usize| -> String { (0..64).map(|i| if i == at { '1' } else { '0' }).collect() };
    let refused = |signer: Signer, signature: String| -> Box<dyn Fn() -> Vec<u8> + Send + Sync> {
        Box::new(move || signer.post_with("/sdk/token", "{}", &signature))
    };
    let with_key = |key| Signer { host: signer.host.clone(), key };
    let peek = |token: fn() -> String| -> Box<dyn Fn() -> Vec<u8> + Send + Sync> {
        let (host, origin) = (alter.host(), alter.public_url());
        Box::new(move || {
            let headers = [("origin", origin.as_str()), ("content-type", "application/json")];
            request("POST", "/connect/api/peek", &host, &headers, &json!({ "token": token() }).to_string())
        })
    };
    let fresh = || mint_session_token(&SystemRandom).expose_secret().to_owned();
    vec![
        kind("T57", "peek, a well-formed unknown token", peek(fresh)),
        kind(
            "T57",
            "peek, the same length, a wrong checksum",
            peek(|| spoiled(mint_session_token(&SystemRandom).expose_secret())),
        ),
        kind("T57", "peek, not a token", peek(|| "nothing".to_owned())),
        kind(
            "T60",
            "signed call, a well-formed unknown key",
            refused(with_key(mint_key(alter_core::KeyType::App, &SystemRandom)), wrong(64)),
        ),
        kind(
            "T60",
            "signed call, a known key, signature wrong throughout",
            refused(signer.clone(), wrong(64)),
        ),
        kind("T60", "signed call, a known key, another wrong signature", refused(signer.clone(), wrong(63))),
    ]
}

/// Returns the text with another last character.
fn spoiled(text: &str) -> String {
    let mut text = text.to_owned();
    let last = text.pop();
    text.push(if last == Some('a') { 'b' } else { 'a' });
    text
}
