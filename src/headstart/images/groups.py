"""Images that belong together: finding the groups, and dealing them out without tearing one apart."""

import logging
import random
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from ..errors import UserError

ByClass = dict[str, list[str]]  # paths
Groups = Mapping[str, str]  # of those images that have one, by path

log = logging.getLogger(__name__)


def match_groups(paths: Sequence[str], pattern: str) -> dict[str, str]:
    """What the regular expression finds in each path: its first group, or all of it; raises UserError for nothing."""
    expression = re.compile(pattern)
    found = {path: match[min(expression.groups, 1)] for path in paths if (match := expression.search(path))}
    if paths and not found:
        raise UserError(f"data.group={pattern!r} is found in no path, such as {paths[0]}")
    if len(found) < len(paths):
        stranger = next(path for path in paths if path not in found)
        missed = len(paths) - len(found)
        log.warning(f"data.group={pattern!r} is not found in {missed:,} paths, which stand alone, such as {stranger}")
    return {path: group for path, group in found.items() if group is not None}


def spread(by_class: ByClass, groups: Groups, shares: Mapping[str, float], seed: int) -> dict[str, ByClass]:
    """Deal whole groups out to parts that should get such shares of every class; the paths of each are sorted.

    From the largest group to the smallest, in seeded order among equals, each goes where the most images of its
    classes are still missing; the last groups of a class go to parts that have nothing of it yet.
    """
    members: defaultdict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for name, paths in by_class.items():
        for path in paths:
            members[(groups[path], "") if path in groups else ("", path)].append((name, path))
    counts = {group: Counter(name for name, _ in images) for group, images in members.items()}
    left = Counter(name for count in counts.values() for name in count)
    missing = {part: dict.fromkeys(by_class, share) for part, share in shares.items()}  # as shares of a class
    dealt: dict[str, ByClass] = {part: defaultdict(list) for part in shares}
    order = random.Random(f"{seed} groups").sample(sorted(members), len(members))
    for group in sorted(order, key=lambda group: -len(members[group])):
        part = _neediest(counts[group], left, missing, dealt)
        left.subtract(counts[group].keys())
        for name, count in counts[group].items():
            missing[part][name] -= count / len(by_class[name])
        for name, path in members[group]:
            dealt[part][name].append(path)
    return {part: {name: sorted(paths) for name, paths in got.items()} for part, got in dealt.items()}


def _neediest(
    count: Counter[str], left: Counter[str], missing: dict[str, dict[str, float]], dealt: dict[str, ByClass]
) -> str:
    without = {name: {part for part, got in dealt.items() if name not in got} for name in count}
    urgent = {part for name, parts in without.items() if left[name] <= len(parts) for part in parts}
    candidates = [part for part in missing if part in urgent] or list(missing)
    return max(candidates, key=lambda part: sum(n * missing[part][name] for name, n in count.items()))


def count_torn(by_split: Mapping[str, ByClass], groups: Groups) -> int:
    """How many groups have images in more than one split."""
    splits: defaultdict[str, set[str]] = defaultdict(set)
    for split, by_class in by_split.items():
        for path in (path for paths in by_class.values() for path in paths if path in groups):
            splits[groups[path]].add(split)
    return sum(len(found) > 1 for found in splits.values())
