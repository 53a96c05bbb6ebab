//! redb: a copy-on-write B-tree with one writer; an entry is a row.

use std::path::Path;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use super::contest::{Entrant, Log, Outcome};

pub(crate) const ENTRANT: Entrant = Entrant { name: "redb 4", open };

const LOG: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("log");

struct Peer(Database);

fn open(dir: &Path, _bytes: u64) -> Outcome<Box<dyn Log>> {
    let database = Database::create(dir.join("log.redb"))?;
    let begin = database.begin_write()?;
    begin.open_table(LOG)?;
    begin.commit()?;
    Ok(Box::new(Peer(database)))
}

impl Log for Peer {
    fn append(&mut self, first: u64, payloads: &[&[u8]]) -> Outcome<()> {
        let write = self.0.begin_write()?;
        {
            let mut log = write.open_table(LOG)?;
            for (index, payload) in (first..).zip(payloads) {
                log.insert(index, *payload)?;
            }
        }
        Ok(write.commit()?)
    }

    fn last(&mut self) -> Outcome<u64> {
        let log = self.0.begin_read()?.open_table(LOG)?;
        Ok(log.last()?.map_or(0, |(index, _)| index.value()))
    }

    fn read(&mut self, first: u64, count: u64) -> Outcome<usize> {
        let log = self.0.begin_read()?.open_table(LOG)?;
        let mut total = 0;
        for row in log.range(first..first + count)? {
            total += row?.1.value().len();
        }
        Ok(total)
    }
}
