//! Reading the audit: listing it, checking its chain, exporting it. Entries are read 1000 at a time, and a server may
//! append at the same time.

use alter_core::{
    Anchor, AppId, AuditChecked, AuditHead, AuditKind, AuditRow, BadEntry, ChainWalk, GrantId, StoreError,
    Tampering, audit_chain::ExportEnd,
};

use crate::Flows;

/// Entries per read.
const PAGE: u32 = 1000;

/// Why a log could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error("the audit was tampered with: {0}")]
    Bad(#[from] BadEntry),
    #[error("the export could not be written: {0}")]
    Write(#[from] std::io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Which entries to list; `None` = no condition.
#[derive(Debug, Default, Clone, Copy)]
pub struct AuditFilter {
    pub kind: Option<AuditKind>,
    pub grant: Option<GrantId>,
}

impl AuditFilter {
    fn fits(&self, row: &AuditRow) -> bool {
        self.kind.is_none_or(|kind| row.kind == kind.as_str())
            && self.grant.is_none_or(|grant| row.grant_id.as_ref() == Some(&grant.to_string()))
    }
}

/// Lists the apps that have an audit, by id: a deleted app has one too.
///
/// # Errors
/// Storage failed.
pub async fn list_audited_apps(flows: &Flows) -> Result<Vec<AppId>, StoreError> {
    flows.store().list_audited_apps().await
}

/// Lists the newest entries that fit, newest first.
///
/// # Errors
/// Storage failed.
pub async fn list_audit(
    flows: &Flows,
    app: AppId,
    filter: AuditFilter,
    limit: usize,
) -> Result<Vec<AuditRow>, StoreError> {
    let mut found = Vec::new();
    let mut end = flows.store().audit_head(app).await?.map_or(0, |head| head.seq);
    while end > 0 && found.len() < limit {
        let start = (end - i64::from(PAGE)).max(0);
        let mut rows = flows.store().read_audit(app, start, PAGE).await?;
        rows.retain(|row| row.seq <= end && filter.fits(row));
        found.extend(rows.into_iter().rev());
        end = start;
    }
    found.truncate(limit);
    Ok(found)
}

/// Checks an app's whole log. `kept` is a head from an earlier check or export that the log must contain.
///
/// # Errors
/// [`AuditError::Bad`] names the first bad entry.
pub async fn verify_audit(
    flows: &Flows,
    app: AppId,
    kept: Option<Anchor>,
) -> Result<AuditChecked, AuditError> {
    let head = flows.store().audit_head(app).await?;
    let chained_after = head.map_or(0, |head| head.chained_after);
    let mut walk = ChainWalk::new(app, Anchor::START, chained_after);
    kept.into_iter().for_each(|anchor| walk.must_pass(anchor));
    each_entry(flows, app, 0, head, |row| Ok(walk.feed(row)?)).await?;
    let checked = walk.finish(head.map(Anchor::from))?;
    nothing_after_the_head(flows, app, checked.head.seq).await?;
    Ok(checked)
}

/// Passes every entry above `after` to `write`, in order, and returns the line that ends the export. Each entry is
/// checked before it is written.
///
/// # Errors
/// [`AuditError`].
pub async fn export_audit(
    flows: &Flows,
    app: AppId,
    after: i64,
    mut write: impl FnMut(&AuditRow) -> std::io::Result<()>,
) -> Result<ExportEnd, AuditError> {
    let head = flows.store().audit_head(app).await?;
    let chained_after = head.map_or(0, |head| head.chained_after);
    let after = anchor_at(flows, app, after).await?;
    let mut walk = ChainWalk::new(app, after, chained_after);
    each_entry(flows, app, after.seq, head, |row| {
        walk.feed(row)?;
        Ok(write(row)?)
    })
    .await?;
    let head = walk.finish(head.map(Anchor::from))?.head;
    Ok(ExportEnd { app_id: app, after, head, chained_after })
}

/// Reads the chain's anchor at an entry.
async fn anchor_at(flows: &Flows, app: AppId, seq: i64) -> Result<Anchor, AuditError> {
    if seq <= 0 {
        return Ok(Anchor::START);
    }
    let row = flows.store().read_audit(app, seq - 1, 1).await?.pop().filter(|row| row.seq == seq);
    let row = row.ok_or(BadEntry { seq, what: Tampering::Missing })?;
    Ok(Anchor { seq, hash: row.hash.unwrap_or(Anchor::START.hash) })
}

async fn each_entry(
    flows: &Flows,
    app: AppId,
    mut after: i64,
    head: Option<AuditHead>,
    mut each: impl FnMut(&AuditRow) -> Result<(), AuditError>,
) -> Result<(), AuditError> {
    let end = head.map_or(0, |head| head.seq);
    while after < end {
        let rows = flows.store().read_audit(app, after, PAGE).await?;
        // Entries appended since the head was read are left out: the walk ends at the head.
        for row in rows.iter().take_while(|row| row.seq <= end) {
            each(row)?;
        }
        match rows.last() {
            Some(last) => after = last.seq,
            None => break,
        }
    }
    Ok(())
}

/// Looks for entries above the head. The head is read after them, so such entries were not appended by a server.
async fn nothing_after_the_head(flows: &Flows, app: AppId, last: i64) -> Result<(), AuditError> {
    let newest = flows.store().read_audit(app, last, PAGE).await?.last().map_or(last, |row| row.seq);
    let head = flows.store().audit_head(app).await?.map_or(0, |head| head.seq);
    if newest > head {
        return Err(BadEntry { seq: head + 1, what: Tampering::AfterTheHead }.into());
    }
    Ok(())
}
