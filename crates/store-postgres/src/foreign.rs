//! What our schema has that this program never makes. A trigger or a rule runs inside our commits and can undo them, so a
//! database with one is refused. A view, an index or a table beside ours changes nothing that we store; an operator should
//! know of it.
//!
//! Event triggers are not looked for: they belong to the whole database, and only a superuser makes them.

use crate::{
    connection::Connection,
    migrate,
    opening::OpenError,
    statement::{all, values},
};

/// What acts on the rows of a table, or stands in for it: triggers (those of foreign keys are the server's own), rules,
/// row security, tables that inherit, a function of somebody's own in a default, a constraint or an index, and a foreign
/// key with an action (ours has one: the attempts of a session, called transactions before, go with it). The last part is
/// any view, or other relation, in the place of a table of ours.
const ACTING: &str = "
    WITH here AS (SELECT oid, relname, relkind, relrowsecurity FROM pg_class
                  WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()))
    SELECT format('trigger %I on %I', t.tgname, h.relname) AS what
        FROM pg_trigger t JOIN here h ON h.oid = t.tgrelid WHERE NOT t.tgisinternal
    UNION SELECT format('rule %I on %I', r.rulename, h.relname)
        FROM pg_rewrite r JOIN here h ON h.oid = r.ev_class WHERE r.rulename <> '_RETURN'
    UNION SELECT format('row security on %I', relname) FROM here WHERE relrowsecurity
    UNION SELECT format('table %s, which inherits from %I', i.inhrelid::regclass, h.relname)
        FROM pg_inherits i JOIN here h ON h.oid = i.inhparent WHERE h.relkind IN ('r', 'p')
    UNION SELECT format('function %s in a default of %I', d.refobjid::regprocedure, h.relname)
        FROM pg_depend d JOIN pg_attrdef a ON a.oid = d.objid JOIN here h ON h.oid = a.adrelid
        WHERE d.classid = 'pg_attrdef'::regclass AND d.refclassid = 'pg_proc'::regclass
    UNION SELECT format('function %s in a constraint of %I', d.refobjid::regprocedure, h.relname)
        FROM pg_depend d JOIN pg_constraint k ON k.oid = d.objid JOIN here h ON h.oid = k.conrelid
        WHERE d.classid = 'pg_constraint'::regclass AND d.refclassid = 'pg_proc'::regclass
    UNION SELECT format('function %s in the index %I', d.refobjid::regprocedure, h.relname)
        FROM pg_depend d JOIN here h ON h.oid = d.objid
        WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_proc'::regclass
    UNION SELECT format('foreign key %I of %I, which changes rows', k.conname, h.relname)
        FROM pg_constraint k JOIN here h ON h.oid = k.conrelid JOIN pg_class p ON p.oid = k.confrelid
        WHERE k.contype = 'f' AND h.relname = ANY($1) AND (k.confupdtype <> 'a' OR (k.confdeltype <> 'a' AND NOT
            (h.relname IN ('attempts', 'transactions') AND p.relname = 'sessions' AND k.confdeltype = 'c')))
    UNION SELECT format('%I, which is not a table', relname) FROM here
        WHERE relname = ANY($1) AND relkind NOT IN ('r', 'i')
    ORDER BY what";

/// Indexes of constraints are not listed: their names are the server's.
const BESIDE: &str = "
    SELECT format('%s %I', CASE relkind WHEN 'i' THEN 'index' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
                                        ELSE 'table' END, relname) AS what
    FROM pg_class c
    WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())
      AND relkind IN ('r', 'p', 'f', 'v', 'm', 'i') AND NOT relname = ANY($1)
      AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = c.oid)
    ORDER BY what";

/// Refuses a database with something that acts on our rows.
///
/// # Errors
/// [`OpenError::Foreign`].
pub(crate) async fn refuse(c: &mut Connection) -> Result<(), OpenError> {
    let acting = listed(c, ACTING).await?;
    if acting.is_empty() { Ok(()) } else { Err(OpenError::Foreign(acting.join(", "))) }
}

/// Lists what is not ours and acts on nothing.
pub(crate) async fn beside(c: &mut Connection) -> Result<Vec<String>, OpenError> {
    listed(c, BESIDE).await
}

async fn listed(c: &mut Connection, sql: &'static str) -> Result<Vec<String>, OpenError> {
    let ours: Vec<String> = migrate::names().into_iter().map(str::to_owned).collect();
    Ok(all(c, sql, values![ours], |row| row.get("what")).await?)
}
