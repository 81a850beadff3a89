//! Evaluating quorums. Groups refer only to what stands before them and a name is a member once, so groups form trees and
//! one pass in order of definition computes anything: no recursion, whatever the text says.

/// What a group counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Member {
    /// By place among the witnesses.
    Witness(usize),
    /// By place among the groups.
    Group(usize),
}

/// A threshold over members.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Group {
    pub(super) threshold: usize,
    pub(super) members: Vec<Member>,
}

/// What must be reached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Quorum {
    /// `quorum none`.
    None,
    /// A witness or a group.
    Of(Member),
}

/// Whether the witnesses that are present reach the quorum.
pub(super) fn reached(quorum: &Quorum, groups: &[Group], present: &[bool]) -> bool {
    let of_witness = |place: usize| present.get(place).copied().unwrap_or(false);
    let reached = evaluate(groups, of_witness, |group, members| {
        members.into_iter().filter(|member| *member).count() >= group.threshold
    });
    match quorum {
        Quorum::None => true,
        Quorum::Of(member) => of_member(*member, of_witness, &reached),
    }
}

/// The fewest witnesses that reach the quorum.
pub(super) fn smallest(quorum: &Quorum, groups: &[Group]) -> usize {
    cheapest(quorum, groups, |group| group.threshold)
}

/// The fewest witnesses without which the quorum cannot be reached: they are in every quorum. 0 if there is nothing to
/// reach.
pub(super) fn smallest_blocking(quorum: &Quorum, groups: &[Group]) -> usize {
    cheapest(quorum, groups, |group| group.members.len() - group.threshold + 1)
}

/// The sum of the cheapest members, as many of each group as `needed` says; a witness costs one.
fn cheapest(quorum: &Quorum, groups: &[Group], needed: impl Fn(&Group) -> usize) -> usize {
    let costs = evaluate(
        groups,
        |_| 1usize,
        |group, mut members| {
            members.sort_unstable();
            members.into_iter().take(needed(group)).sum()
        },
    );
    match quorum {
        Quorum::None => 0,
        Quorum::Of(member) => of_member(*member, |_| 1, &costs),
    }
}

fn evaluate<T: Copy + Default>(
    groups: &[Group],
    of_witness: impl Fn(usize) -> T,
    combine: impl Fn(&Group, Vec<T>) -> T,
) -> Vec<T> {
    groups.iter().fold(Vec::with_capacity(groups.len()), |mut values, group| {
        let members = group.members.iter().map(|member| of_member(*member, &of_witness, &values)).collect();
        values.push(combine(group, members));
        values
    })
}

fn of_member<T: Copy + Default>(member: Member, of_witness: impl Fn(usize) -> T, groups: &[T]) -> T {
    match member {
        Member::Witness(place) => of_witness(place),
        Member::Group(place) => groups.get(place).copied().unwrap_or_default(),
    }
}
