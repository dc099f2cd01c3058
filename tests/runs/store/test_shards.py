"""The division of a run into batches and shards."""

import pytest

from daam_syntax.runs.store.shards import ShardPlan


@pytest.mark.parametrize("numbers", [(5, 3, 4, 8), (1, 1, 1, 1), (7, 2, 32, 5), (3, 1, 2, 1)])
def test_a_plan_has_every_image_once_in_order(numbers):
    plan = ShardPlan.of(*numbers)
    batches = [batch for shard in range(plan.n_shards) for batch in plan.batches(shard)]
    images = [(planned.prompt, planned.seed) for batch in batches for planned in batch]
    assert images == [(p, s) for p in range(numbers[0]) for s in range(numbers[1])]
    assert max(map(len, batches)) <= plan.batch_size
    assert sum(plan.size(shard) for shard in range(plan.n_shards)) == plan.n_images
