//! Whose turn it is: what comes from peers and what comes from inside, one after the other.

use tokio::sync::mpsc;

/// What is next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<E, I> {
    /// From a peer, or about one.
    Event(E),
    /// From inside.
    Input(I),
    /// The network is gone.
    Gone,
}

/// Has events and inputs take turns where both wait: whatever peers send, runs and callers come through.
#[derive(Debug, Default)]
pub(super) struct Turns {
    inputs_first: bool,
}

impl Turns {
    /// The next of either. Cancel safe where `event` is.
    pub(super) async fn next<E, I>(
        &mut self,
        event: impl Future<Output = Option<E>>,
        inputs: &mut mpsc::Receiver<I>,
    ) -> Next<E, I> {
        let event = async { event.await.map_or(Next::Gone, Next::Event) };
        let next = if self.inputs_first {
            tokio::select! {
                biased;
                Some(input) = inputs.recv() => Next::Input(input),
                next = event => next,
            }
        } else {
            tokio::select! {
                biased;
                next = event => next,
                Some(input) = inputs.recv() => Next::Input(input),
            }
        };
        self.inputs_first = matches!(next, Next::Event(_));
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_flood_of_events_leaves_every_second_turn_to_inputs() {
        let (events, mut event) = mpsc::channel(8);
        let (inputs, mut input) = mpsc::channel(8);
        let mut turns = Turns::default();
        for number in 0..3 {
            inputs.try_send(number).expect("room");
        }
        let mut went = Vec::new();
        for number in 0..6 {
            // as many as there is room for, again and again
            while events.try_send(number).is_ok() {}
            went.push(matches!(turns.next(event.recv(), &mut input).await, Next::Input(_)));
        }
        assert_eq!(went, [false, true, false, true, false, true]);
    }

    #[tokio::test]
    async fn where_one_is_empty_the_other_goes_on_and_the_end_is_told() {
        let (events, mut event) = mpsc::channel::<u8>(8);
        let (inputs, mut input) = mpsc::channel::<u8>(8);
        let mut turns = Turns::default();
        for number in [1, 2] {
            inputs.try_send(number).expect("room");
            assert_eq!(turns.next(event.recv(), &mut input).await, Next::Input(number));
        }
        for number in [3, 4] {
            events.try_send(number).expect("room");
            assert_eq!(turns.next(event.recv(), &mut input).await, Next::Event(number));
        }
        drop(events);
        assert_eq!(turns.next(event.recv(), &mut input).await, Next::Gone);
    }
}
