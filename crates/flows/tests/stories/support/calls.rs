//! Each story by its name: the only file here that must change with a signature of `alter-flows`.

use alter_core::{GrantId, Mode, StoreError, secret::base64url, time::random_bytes};
use alter_flows::{
    ApproveError, CallReport, CallbackEnd, CallbackRequest, Caller, ClaimError, FlowFault, GrantChoice,
    MintError, MintRequest, Minted, Poll, Proof, ReleaseError, ReleaseRequest, Released, RevokeGrantError,
    StatusError, StatusReport, StatusRequest, StepError, calls, connect, grants, reap,
};
use secrecy::{ExposeSecret, SecretString};

use super::{Back, ORIGIN, Visit, World};

/// The request id of every call.
pub(super) const REQUEST: &str = "req_test";

impl World {
    pub(crate) async fn mint(&self, caller: &Caller, request: MintRequest) -> Result<Minted, MintError> {
        connect::mint(&self.flows, caller, request).await
    }

    /// Mints a session of the app for all its providers. Returns its token.
    pub(crate) async fn session(&self) -> SecretString {
        self.mint(&self.caller().await, MintRequest::default()).await.unwrap().token
    }

    /// Claims the session with a form POST from a page of `origin`, as the SDK does.
    pub(crate) async fn claim(&self, token: &SecretString, origin: &str) -> Result<Visit, ClaimError> {
        let cb = base64url(&random_bytes::<32>(&*self.random));
        let proof = Proof::FormOrigin { origin: Some(origin), cb: &cb };
        let claimed =
            connect::claim(&self.flows, token.expose_secret(), &proof, Mode::Popup, |_| None).await?;
        let browser_key = claimed.browser_key.expect("the first claim sets the cookie");
        Ok(Visit { token: token.clone(), sid: claimed.sid, browser_key, cb })
    }

    pub(crate) async fn status_with(
        &self,
        visit: &Visit,
        closed: Option<bool>,
        cancel: bool,
    ) -> Result<StatusReport, StatusError> {
        let request = StatusRequest { cb: Some(&visit.cb), cursor: 0, closed, cancel };
        connect::status(&self.flows, visit.token.expose_secret(), Some(ORIGIN), &request).await
    }

    /// What the app's page learns when it waits for news, after those of which it has `cursor`.
    pub(crate) async fn news(&self, visit: &Visit, cursor: usize, closed: bool) -> StatusReport {
        let request = StatusRequest { cb: Some(&visit.cb), cursor, closed: Some(closed), cancel: false };
        let (token, never) = (visit.token.expose_secret(), std::future::pending());
        connect::status_with_news(&self.flows, token, Some(ORIGIN), &request, never).await.unwrap()
    }

    /// One round of what looks for news from elsewhere.
    pub(crate) async fn beat(&self) -> Result<(), StoreError> {
        connect::beat(&self.flows).await
    }

    /// Returns once so many wait.
    pub(crate) async fn until_waiting(&self, count: usize) {
        while connect::waiting(&self.flows) != count {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }

    /// What the app's page learns.
    pub(crate) async fn status(&self, visit: &Visit) -> StatusReport {
        self.status_with(visit, None, false).await.unwrap()
    }

    /// What the app's backend learns.
    pub(crate) async fn poll(&self, token: &SecretString) -> Poll {
        connect::poll(&self.flows, &self.caller().await, token.expose_secret()).await.unwrap()
    }

    pub(crate) async fn approve(&self, visit: &Visit) -> Result<url::Url, ApproveError> {
        let browser = connect::browser_hash(&visit.browser_key).unwrap();
        connect::approve(&self.flows, &visit.sid, &browser, "mock", None).await
    }

    /// The user's Cancel on one of our pages.
    pub(crate) async fn cancel(&self, visit: &Visit) -> Result<(), StepError> {
        let browser = connect::browser_hash(&visit.browser_key).unwrap();
        connect::cancel(&self.flows, &visit.sid, &browser).await
    }

    pub(crate) async fn callback(&self, visit: &Visit, back: &Back) -> Result<CallbackEnd, FlowFault> {
        let key = |sid: &_| (*sid == visit.sid).then(|| visit.browser_key.clone());
        connect::callback(&self.flows, &request(back), key).await
    }

    /// A callback in a browser that has no cookie of ours.
    pub(crate) async fn callback_elsewhere(&self, back: &Back) -> Result<CallbackEnd, FlowFault> {
        connect::callback(&self.flows, &request(back), |_| None).await
    }

    /// Asks for the token of a grant, for a request to `url`.
    pub(crate) async fn release(
        &self,
        caller: &Caller,
        grant: GrantId,
        url: &str,
    ) -> Result<Released, ReleaseError> {
        let request = ReleaseRequest {
            choice: GrantChoice::Id(grant),
            user_token: None,
            method: "GET",
            url,
            reason: None,
            acting_for: None,
        };
        calls::release(&self.flows, caller, &request).await
    }

    /// Reports that the provider's API answered a call.
    pub(crate) async fn report(&self, grant: GrantId, token_generation: Option<&str>, status: u16) {
        let host = "api.example";
        let report = CallReport { grant, token_generation, method: "GET", host, status, latency_ms: 1 };
        calls::report_call(&self.flows, &self.caller().await, &report).await.unwrap();
    }

    pub(crate) async fn revoke(&self, caller: &Caller, grant: GrantId) -> Result<(), RevokeGrantError> {
        grants::revoke_grant(&self.flows, caller, grant, None, None).await.map(drop)
    }

    /// One round of the reaper.
    pub(crate) async fn reap(&self) -> Result<(), StoreError> {
        reap::reap(&self.flows).await
    }
}

/// Several steps at once, for tests that begin after them.
impl World {
    /// Opens a new session in a user's browser; the app's page has asked for the status.
    pub(crate) async fn visit(&self) -> Visit {
        let visit = self.claim(&self.session().await, ORIGIN).await.unwrap();
        self.status(&visit).await;
        visit
    }

    /// Like [`Self::visit`], and approves. Returns the authorization URL too.
    pub(crate) async fn leave(&self) -> (Visit, url::Url) {
        let visit = self.visit().await;
        let authorize = self.approve(&visit).await.unwrap();
        (visit, authorize)
    }

    /// Goes the whole way. Returns the grant.
    pub(crate) async fn connect(&self) -> GrantId {
        let (visit, authorize) = self.leave().await;
        self.callback(&visit, &Back::from(&authorize).await).await.unwrap();
        match self.poll(&visit.token).await {
            Poll::Completed(connections, _) => connections[0].connection.grant_id,
            other => panic!("not connected: {other:?}"),
        }
    }
}

fn request(back: &Back) -> CallbackRequest<'_> {
    CallbackRequest { config_id: &back.config_id, query: &back.query, sessions: &[], request_id: REQUEST }
}
