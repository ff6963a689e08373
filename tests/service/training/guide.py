"""The scripts of the epoch-training guide, as their users wrote them; address, token and data source are set first."""

import json
import time
from typing import Any

import requests
from sseclient import SSEClient

BASE_URL = "http://localhost:8000/api/v1/epoch-training"
TOKEN = ""


def headers() -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}


def start_training(config: dict[str, Any]) -> str:
    response = requests.post(f"{BASE_URL}/start", headers=headers(), json=config)
    result = response.json()
    if result["success"]:
        print(f"training started: {result['task_id']}")
    return result["task_id"]


def monitor_training(task_id: str) -> str:
    while True:
        result = requests.get(f"{BASE_URL}/progress/{task_id}", headers=headers()).json()
        progress = result["progress"]
        print(f"epoch {progress['current_epoch']}/{progress['total_epochs']}: {progress['training_state']}")
        if progress["latest_metrics"]:
            metrics = progress["latest_metrics"]
            print(f"  loss {metrics['train_loss']:.4f}, accuracy {metrics['train_accuracy']:.4f}")
            print(f"  validation {metrics['val_loss']:.4f}, {metrics['val_accuracy']:.4f}")
        if progress["training_state"] in ("completed", "failed", "cancelled"):
            return progress["training_state"]
        time.sleep(0.05)


def stream_training_progress(task_id: str) -> list[int]:
    response = requests.get(f"{BASE_URL}/stream-progress/{task_id}", headers=headers(), stream=True)
    client, epochs = SSEClient(response), []
    for event in client.events():
        data = json.loads(event.data)
        if data["type"] == "progress":
            progress = data["progress"]
            metrics = progress["latest_metrics"]
            print(f"epoch {progress['current_epoch']}/{progress['total_epochs']}: {metrics['train_loss']:.4f}")
            print(f"  best {progress['best_metrics']['loss']:.4f}, {progress['best_metrics']['accuracy']:.4f}")
            epochs.append(progress["current_epoch"])
        elif data["type"] == "complete":
            print("training completed")
            break
    return epochs


def get_history(task_id: str) -> list[dict[str, Any]]:
    return requests.get(f"{BASE_URL}/history/{task_id}", headers=headers()).json()["history"]


def pause_training(task_id: str) -> bool:
    return requests.post(f"{BASE_URL}/pause/{task_id}", headers=headers()).json()["success"]


def resume_training(task_id: str) -> bool:
    return requests.post(f"{BASE_URL}/resume/{task_id}", headers=headers()).json()["success"]
