//! Sample rows: valid, with all fields set, different each time.

use super::operator::insert_app;
use std::{fmt::Debug, sync::Arc};

use alter_core::{
    Agent, AgentCreated, AgentData, AgentId, AgentStatus, ApiKey, App, AppId, AppSettings, Attempt,
    AttemptId, AttemptStatus, AuditEntry, AuditKind, Brought, CallNonce, Cause, Claim, ClientAuth,
    CompleteConnect, ConfigId, Connection, Coop, Credential, Delegation, Failure, Filled, Grant, GrantFilter,
    GrantId, Hash, KeyId, Level, Micros, Mode, Operation, Origin, Principal, ProviderConfig, Recipe,
    RefreshState, ReleaseCredential, ReturnUrl, Session, SessionAgent, SessionData, SessionId, SessionUser,
    StageConnect, Staged, Store, StoreError, SystemRandom, Underway, User, UserId, recipe::Fact,
    time::random_bytes,
};
use serde_json::{Value, json};

/// The time of every sample row.
pub const T0: Micros = Micros(1_800_000_000_123_456);

/// 32 random bytes.
pub fn hash() -> Hash {
    random_bytes(&SystemRandom)
}

fn origin(text: &str) -> Origin {
    Origin::parse(text).expect("an origin")
}

/// An app with every setting given, and a name of its own.
pub fn app() -> App {
    let id = AppId::new(&SystemRandom);
    let mut settings = AppSettings::named(format!("Grüße, 世界 👋 'quoted\" \\u0000 {id}"));
    settings.website_url = Some("https://app.example".into());
    settings.return_origins = ["https://app.example", "http://localhost:3000"].map(origin).into();
    settings.allow_bearer = true;
    settings.session_ttl = 3600;
    settings.min_binding = Some(Level::L1);
    App { id, settings, wrapped_key: wrapped_key(), created_at: T0 }
}

/// Bytes as long as a wrapped data key, with a key id of their own.
pub fn wrapped_key() -> Vec<u8> {
    [&b"ALTK\x01\x01"[..], &random_bytes::<96>(&SystemRandom)].concat()
}

/// Stores an app.
pub async fn stored_app(store: &dyn Store) -> Result<AppId, StoreError> {
    let app = app();
    insert_app(store, app.clone()).await?;
    Ok(app.id)
}

/// An active key of the app itself.
pub fn key(app: AppId) -> ApiKey {
    ApiKey {
        id: KeyId::new(&SystemRandom),
        app_id: app,
        agent_id: None,
        hash: hash(),
        prefix: "alter_rk_abcd".into(),
        name: "backend".into(),
        created_at: T0,
        deprecated_at: None,
        revoked_at: None,
        seal: Some(vec![0, 7]),
    }
}

/// A user with a subject of its own.
pub fn user(app: AppId) -> User {
    let id = UserId::new(&SystemRandom);
    User {
        id,
        app_id: app,
        issuer: "https://idp.example".into(),
        subject: format!("subject of {id}"),
        label: "Zoë 世".into(),
        created_at: T0,
        updated_at: T0,
    }
}

/// Stores a user.
pub async fn stored_user(store: &dyn Store, app: AppId) -> Result<User, StoreError> {
    store.save_user(user(app)).await
}

/// An active agent with a name of its own.
pub fn agent(app: AppId) -> Agent {
    let id = AgentId::new(&SystemRandom);
    let scopes = [("google".to_owned(), vec!["mail".to_owned()])].into();
    let metadata = json!({ "wörter": "世" }).as_object().cloned().unwrap_or_default();
    let display_name = Some("Mail Bot".to_owned());
    Agent {
        id,
        app_id: app,
        name: format!("agent {id}"),
        status: AgentStatus::Active,
        data: AgentData { display_name, scopes: Some(scopes), metadata, ..AgentData::default() },
        version: 1,
        created_at: T0,
        updated_at: T0,
    }
}

/// A key of an agent.
pub fn agent_key(agent: &Agent) -> ApiKey {
    ApiKey { agent_id: Some(agent.id), prefix: "alter_ak_abcd".into(), ..key(agent.app_id) }
}

/// Stores an agent with its first key.
pub async fn stored_agent(store: &dyn Store, app: AppId) -> Result<(Agent, ApiKey), StoreError> {
    let agent = agent(app);
    let key = agent_key(&agent);
    let made =
        store.create_agent(None, agent.clone(), key.clone(), None, audit(app, AuditKind::AgentCreated));
    assert_eq!(made.await?, AgentCreated::Stored);
    Ok((agent, key))
}

/// A delegation of a grant to an agent.
pub fn delegation(grant: &Grant, agent: AgentId) -> Delegation {
    Delegation { grant_id: grant.id, agent_id: agent, scopes: grant.scopes.clone(), created_at: T0 }
}

/// Stores a grant and delegates it to the agent.
pub async fn delegated_grant(store: &dyn Store, app: AppId, agent: AgentId) -> Result<Grant, StoreError> {
    let grant = grant(app);
    let (session, attempt) = sent(store, app).await?;
    let mut complete = complete(&session, &attempt, &grant);
    complete.delegation = Some(delegation(&grant, agent));
    assert!(store.complete_connect(complete).await?.is_done());
    Ok(grant)
}

/// A release of a grant's first generation to the app itself.
pub fn release(grant: &Grant, call: Option<CallNonce>) -> ReleaseCredential {
    ReleaseCredential {
        call,
        app_id: grant.app_id,
        grant_id: grant.id,
        generation: 1,
        agent: None,
        at: T0.plus_seconds(10),
        audit: audit(grant.app_id, AuditKind::TokenReleased),
    }
}

/// Returns the ids of an app's grants that fit a filter, newest first.
pub async fn listed(store: &dyn Store, app: AppId, filter: &GrantFilter) -> Result<Vec<GrantId>, StoreError> {
    let found = store.list_grants(app, filter, 100, 0).await?;
    assert_eq!(store.count_grants(app, filter).await?, found.len() as u64, "{filter:?}");
    Ok(found.into_iter().map(|listed| listed.grant.id).collect())
}

/// The nonce of a signed call.
pub fn call() -> CallNonce {
    CallNonce { key_id: KeyId::new(&SystemRandom), nonce: random_bytes(&SystemRandom), at: T0 }
}

/// An app's configuration of the provider with this id.
pub fn config(app: AppId, provider: &str) -> ProviderConfig {
    let recipe = json!({
        "id": provider, "name": "Anbieter ü", "authorize_url": "https://p.example/a",
        "token_url": "https://p.example/t", "scopes": { "mail": "Read your mail" },
        "authorize_params": { "access_type": "offline" }, "client_auth": ClientAuth::Post, "coop": Coop::Severs,
    });
    let recipe: Recipe = serde_json::from_value(recipe).expect("these fields are enough for a recipe");
    ProviderConfig {
        config_id: ConfigId::new(&SystemRandom),
        app_id: app,
        recipe: recipe.into(),
        client_id: "client".into(),
        client_secret: Some(vec![1, 0, 2]),
        generation: 1,
        scopes: vec!["mail".into(), "a b".into()],
        created_at: T0,
        updated_at: T0,
        seal: Some(vec![0, 7]),
    }
}

/// A newly minted session that offers one provider; it ends at `T0` + 600 s.
pub fn session(app: AppId) -> Session {
    let origin = origin("https://app.example");
    let back = ReturnUrl::parse("https://app.example/back", [&origin]).expect("it has the origin");
    let mut data = SessionData::new(Some(origin), vec!["google".into()], Level::L2);
    data.return_url = Some(back);
    data.user = Some(SessionUser { id: UserId::new(&SystemRandom), label: "Zoë".into() });
    data.agent = Some(SessionAgent { id: AgentId::new(&SystemRandom), name: "Mail Bot".into() });
    data.label = Some("work".into());
    Session {
        sid: SessionId::new(&SystemRandom),
        app_id: app,
        token_hash: hash(),
        created_at: T0,
        expires_at: T0.plus_seconds(600),
        data,
        version: 0,
    }
}

/// A browser's claim.
pub fn claim() -> Claim {
    Claim {
        level: Level::L2,
        cb: Some("flow".into()),
        browser: hash(),
        marker: Some(hash()),
        at: T0,
        mode: Mode::Redirect,
    }
}

/// A newly started attempt of the session; it expires at `T0` + 600 s.
pub fn attempt(session: &Session) -> Attempt {
    Attempt {
        id: AttemptId::new(&SystemRandom),
        sid: session.sid.clone(),
        app_id: session.app_id,
        config_id: ConfigId::new(&SystemRandom),
        state_hash: hash(),
        verifier: vec![7; 64],
        nonce: "nonce".into(),
        redirect_uri: "https://alter.example/oauth/callback/pc".into(),
        scopes: vec!["mail".into()],
        created_at: T0,
        expires_at: T0.plus_seconds(600),
        status: AttemptStatus::Started,
        status_at: T0,
        body: None,
        filled: Filled::from([("subdomain".into(), "acme".into())]),
        brought: Brought::default(),
        staged: None,
    }
}

/// Stores a claimed session with an attempt under way.
pub async fn started(store: &dyn Store, app: AppId) -> Result<(Session, Attempt), StoreError> {
    let mut session = session(app);
    session.claim_by(claim()).expect("a claim at this level is let in");
    store.insert_session(None, session.clone()).await?;
    let attempt = attempt(&session);
    session.start(underway(&attempt));
    assert!(store.start_attempt(&session, attempt.clone()).await?.is_done());
    session.version += 1;
    Ok((session, attempt))
}

/// What the session records about an attempt under way.
pub fn underway(attempt: &Attempt) -> Underway {
    Underway {
        attempt: attempt.id,
        provider: "google".into(),
        coop: Coop::Severs,
        started_at: attempt.created_at,
        expires_at: attempt.expires_at,
        exchanging: false,
        config: Some(attempt.config_id.clone()),
        page: Some(0),
    }
}

/// Like [`started`], but the attempt is moved on to `sent` and its answer's body is stored.
pub async fn sent(store: &dyn Store, app: AppId) -> Result<(Session, Attempt), StoreError> {
    let (session, attempt) = started(store, app).await?;
    assert!(store.consume_attempt(attempt.id, T0).await?.is_first());
    assert!(store.mark_sent(attempt.id, &Brought::default(), T0).await?.is_done());
    assert!(store.save_body(attempt.id, vec![9; 300]).await?.is_done());
    let session = found(store.get_session(&session.sid).await?);
    Ok((session, attempt))
}

/// A grant of generation 1, for an account of its own.
pub fn grant(app: AppId) -> Grant {
    let id = GrantId::new(&SystemRandom);
    Grant {
        id,
        app_id: app,
        principal: Principal::App,
        provider: "google".into(),
        config_id: ConfigId::new(&SystemRandom),
        subject: format!("subject of {id}"),
        account_identifier: "zoë@example.com".into(),
        account_verified: true,
        account_display_name: Some("Zoë 世".into()),
        label: Some("work".into()),
        scopes: vec!["mail".into(), "profile".into()],
        missing_scopes: vec!["calendar".into()],
        level: Level::L2,
        signed_in: false,
        created_at: T0,
        updated_at: T0,
        last_used_at: None,
        refresh: RefreshState::default(),
        refresh_at: Some(T0.plus_seconds(3000)),
        ends_at: None,
        filled: Filled::from([("subdomain".into(), "acme".into())]),
        metadata: [("team".to_owned(), Fact { value: "zoë".into(), verified: true })].into(),
        revoked: None,
        credential: Credential {
            generation: 1,
            token_type: "Bearer".into(),
            issued_at: T0,
            expires_at: Some(T0.plus_seconds(3600)),
            access_token: vec![1, 0, 255],
            refresh_token: Some(vec![2, 0, 255]),
            id_token: Some(vec![3, 0, 255]),
        },
    }
}

/// Connects and stores a new grant.
pub async fn stored_grant(store: &dyn Store, app: AppId) -> Result<Grant, StoreError> {
    let grant = grant(app);
    store_grant(store, &grant).await?;
    Ok(grant)
}

/// Connects and stores this grant.
pub async fn store_grant(store: &dyn Store, grant: &Grant) -> Result<(), StoreError> {
    let (session, attempt) = sent(store, grant.app_id).await?;
    assert!(store.complete_connect(complete(&session, &attempt, grant)).await?.is_done());
    Ok(())
}

/// The command that completes an attempt with a grant.
pub fn complete(session: &Session, attempt: &Attempt, grant: &Grant) -> CompleteConnect {
    let operation = if grant.credential.generation == 1 { Operation::Creation } else { Operation::Reauth };
    CompleteConnect {
        attempt: attempt.id,
        from: AttemptStatus::Sent,
        sid: session.sid.clone(),
        grant: grant.clone(),
        delegation: None,
        connection: connection(grant, operation),
        audit: audit(grant.app_id, AuditKind::GrantConnected),
        at: T0.plus_seconds(5),
    }
}

fn connection(grant: &Grant, operation: Operation) -> Connection {
    Connection {
        grant_id: grant.id,
        provider: grant.provider.clone(),
        provider_name: "Google".into(),
        account_identifier: grant.account_identifier.clone(),
        account_verified: grant.account_verified,
        at: T0.plus_seconds(5),
        operation,
        scopes: grant.scopes.clone(),
        missing_scopes: grant.missing_scopes.clone(),
        extra_scopes: Vec::new(),
        unanswered: Vec::new(),
    }
}

/// The command that stages an attempt.
pub fn stage(session: &Session, attempt: &Attempt) -> StageConnect {
    let staged = Staged {
        attempt: attempt.id,
        provider: "google".into(),
        provider_name: "Google".into(),
        account_identifier: "zoë@example.com".into(),
        at: T0.plus_seconds(5),
    };
    StageConnect {
        sid: session.sid.clone(),
        app_id: session.app_id,
        account: vec![4, 0, 255],
        staged,
        audit: audit(session.app_id, AuditKind::ConnectionStaged),
    }
}

/// Like [`sent`], but the attempt is staged.
pub async fn staged(store: &dyn Store, app: AppId) -> Result<(Session, Attempt), StoreError> {
    let (session, attempt) = sent(store, app).await?;
    assert!(store.stage_connect(stage(&session, &attempt)).await?.is_done());
    let session = found(store.get_session(&session.sid).await?);
    let attempt = found(store.find_attempt(&attempt.state_hash).await?);
    Ok((session, attempt))
}

/// The failure of an attempt that the user denied.
pub fn denied() -> Failure {
    Failure {
        cause: Cause::Denied,
        provider: Some("google".into()),
        request_id: Some("request".into()),
        said: None,
    }
}

/// An audit entry with every field set.
pub fn audit(app: AppId, kind: AuditKind) -> AuditEntry {
    AuditEntry {
        app_id: app,
        at: T0,
        kind,
        grant_id: Some(GrantId::new(&SystemRandom)),
        sid: Some(SessionId::new(&SystemRandom)),
        key_id: Some(KeyId::new(&SystemRandom)),
        user_id: Some(UserId::new(&SystemRandom)),
        agent_id: Some(AgentId::new(&SystemRandom)),
        request_id: Some("request".into()),
        details: json!({ "provider": "google", "wörter": "世" }),
    }
}

/// An audit entry that no engine can write.
pub fn unwritable_audit(app: AppId, kind: AuditKind) -> AuditEntry {
    AuditEntry { request_id: Some("nul\0".into()), ..audit(app, kind) }
}

/// Kind and details of an app's entries, newest first, without the one about the making of the app.
pub async fn recorded(store: &dyn Store, app: AppId) -> Result<Vec<(String, Value)>, StoreError> {
    let mut entries = store.list_audit(app, 1000).await?;
    entries.retain(|(kind, _)| kind != "app_created");
    Ok(entries)
}

/// Unwraps a row that must exist.
#[track_caller]
pub fn found<T>(row: Option<T>) -> T {
    row.expect("the row is there")
}

/// Asserts that two values print the same with `Debug`, because not every noun implements `PartialEq`.
#[track_caller]
pub fn assert_same<T: Debug>(left: &T, right: &T) {
    assert_eq!(format!("{left:#?}"), format!("{right:#?}"));
}

/// Returns everything that completing an attempt could have changed, as text.
pub async fn picture(store: &dyn Store, session: &Session, t: &Attempt) -> Result<String, StoreError> {
    let app = session.app_id;
    Ok(format!(
        "{:#?}",
        (
            store.get_session(&session.sid).await?,
            store.find_attempt(&t.state_hash).await?,
            store.list_grants(app, &GrantFilter::default(), 100, 0).await?,
            store.list_audit(app, 100).await?,
        )
    ))
}

/// Runs `n` copies of the same future at once and counts those that returned `true`. An error counts as `false`.
pub async fn count_true<F>(store: &Arc<dyn Store>, n: usize, run: impl Fn(Arc<dyn Store>) -> F) -> usize
where
    F: Future<Output = Result<bool, StoreError>> + Send + 'static,
{
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..n {
        tasks.spawn(run(store.clone()));
    }
    tasks.join_all().await.into_iter().filter(|answer| matches!(answer, Ok(true))).count()
}
