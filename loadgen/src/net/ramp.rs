//! Many things opened a few at a time.

use std::cell::Cell;
use std::ops::Range;
use std::rc::Rc;

use crate::error::LoadError;

/// Opens each of `units`, `lanes` of them at once, as long as `go_on` says so; the first failure ends it.
pub(crate) async fn ramp<F, Opening>(
    units: Range<u32>,
    lanes: usize,
    go_on: impl Fn() -> bool + Clone + 'static,
    open: F,
) -> Result<(), LoadError>
where
    F: Fn(u32) -> Opening + Clone + 'static,
    Opening: Future<Output = Result<(), LoadError>> + 'static,
{
    let next = Rc::new(Cell::new(units.start));
    let lanes: Vec<_> = (0..lanes.clamp(1, units.len().max(1)))
        .map(|_| {
            let (next, go_on, open) = (Rc::clone(&next), go_on.clone(), open.clone());
            monoio::spawn(async move {
                while next.get() < units.end && go_on() {
                    let unit = next.replace(next.get() + 1);
                    if let Err(error) = open(unit).await {
                        // The others need not go on, either.
                        next.set(units.end);
                        return Err(error);
                    }
                }
                Ok(())
            })
        })
        .collect();
    for lane in lanes {
        lane.await?;
    }
    Ok(())
}
