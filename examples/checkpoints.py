"""A mining job, interrupted at will and resumed: ``python examples/checkpoints.py talk.txt MODEL``.

A worker must run beside it, in the same home: ``stope up``.
"""

from __future__ import annotations

import asyncio
import sys

from client import JobClient


async def main(transcript: str, model: str) -> None:
    """Mine the claims of a text transcript."""
    orchestrator = JobClient()

    # Create a mining job
    job_id = await orchestrator.create_job(
        job_type="mine",
        input_id="episode_12345",
        config={
            "file_path": transcript,
            "miner_model": model,
            "max_workers": None,  # Auto-calculate
            "enable_parallel_processing": True,
        },
        auto_process=False,
    )

    # Process the job (with automatic checkpointing)
    try:
        result = await orchestrator.process_job(
            job_id,
            resume_from_checkpoint=True,  # Will resume if interrupted
        )
        print(f"Job completed: {result['status']}")
    except KeyboardInterrupt:
        print("Job interrupted - checkpoint saved automatically")
        # Checkpoint is saved, can resume later
    except Exception as e:  # noqa: BLE001  (the example shows what any failure leaves behind)
        print(f"Job failed: {e}")
        # Error checkpoint saved with partial progress

    # Resume the job later
    result = await orchestrator.process_job(
        job_id,
        resume_from_checkpoint=True,  # Skips completed work
    )
    print(f"Result: {result['output_id']}")

    # Manual checkpoint management
    run_id = await orchestrator.create_job_run(job_id)
    await orchestrator.save_checkpoint(run_id, {"custom_field": "custom_value", "progress": 50})
    checkpoint = await orchestrator.load_checkpoint(run_id)
    if checkpoint:
        print(f"Progress: {checkpoint.get('progress')}%")
    await orchestrator.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
